import json

import pytest

from pld_dspy.errors import PLDError
from pld_dspy.rules import MicroRule, RuleSet
from pld_dspy.run.folder import RunFolder
from pld_dspy.run.usage import Usage

RULE = MicroRule(predictor="self", example="a", rule="if this, then that")


def test_the_folder_appears_with_its_first_result(tmp_path):
    run = RunFolder(tmp_path / "new", {"seed": 0})
    run.status("failed", {})
    assert not (tmp_path / "new").exists()
    run.append("micro_rules.jsonl", RULE)
    state = json.loads((tmp_path / "new/run.json").read_text())
    assert (state["status"], state["configuration"]) == ("running", {"seed": 0})
    assert state["versions"]["dspy"]


def test_an_interrupted_run_is_taken_up_with_its_usage(tmp_path):
    run = RunFolder(tmp_path, {"seed": 0})
    run.append("micro_rules.jsonl", RULE)
    run.status("stopped", {"teacher": {"big": Usage(calls=3)}})
    with (tmp_path / "micro_rules.jsonl").open("a") as file:
        file.write('{"predictor": "self", "exam')  # killed in the middle of a line
    again = RunFolder(tmp_path, {"seed": 0})
    assert again.lines("micro_rules.jsonl", MicroRule) == [RULE]
    assert again.state.usage["teacher"]["big"].calls == 3
    again.append("micro_rules.jsonl", RULE)
    assert again.lines("micro_rules.jsonl", MicroRule) == [RULE, RULE]


def test_a_run_with_another_configuration_is_left_alone(tmp_path):
    RunFolder(tmp_path, {"seed": 0, "data": "x"}).append("micro_rules.jsonl", RULE)
    with pytest.raises(PLDError, match="another data, seed"):
        RunFolder(tmp_path, {"seed": 1, "data": "y"})
    assert RunFolder(tmp_path).state.configuration == {"seed": 0, "data": "x"}


def test_what_is_no_run_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(PLDError, match="holds no run"):
        RunFolder(tmp_path, {})
    with pytest.raises(PLDError, match="is a file"):
        RunFolder(tmp_path / "thesis.tex", {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_rules_are_json_that_reads_back(tmp_path):
    rules = RuleSet.of([("if this, then that", ["a"])])
    RunFolder(tmp_path, {}).write_rules({"answer": rules}, 7)
    content = json.loads((tmp_path / "rules/007.json").read_text())
    assert RuleSet.model_validate(content["answer"]) == rules
    assert content["answer"]["rules"][0]["support"] == 1


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = RunFolder(None, {})
    run.append("micro_rules.jsonl", RULE)
    run.write("summary.json", {})
    run.write_rules({}, 0)
    assert run.lines("micro_rules.jsonl", MicroRule) == []
    assert list(tmp_path.iterdir()) == []
