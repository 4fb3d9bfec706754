"""The same command again: on a run that has ended, on one that was stopped, and what may not lose a compile."""

import json
import logging
import sys

import dspy
import optuna
import pytest
from scripted import examples, scripted

from pld_dspy import PLDError, PLDTeleprompter
from pld_dspy.clustering import search, tfidf
from pld_dspy.datasets import load
from pld_dspy.programs import ScienceQA
from pld_dspy.rehearsal import rehearsal_lm
from pld_dspy.run import Budget


def compile_sample(folder, **arguments):
    with dspy.context(lm=rehearsal_lm()):
        teleprompter = PLDTeleprompter(log_dir=folder, num_threads=1, **arguments)
        return teleprompter.compile(
            ScienceQA(), trainset=load("scienceqa", "train", limit=24), valset=load("scienceqa", "val", limit=12)
        )


def test_a_run_that_ended_within_its_cap_gives_the_same_again(tmp_path):
    first = compile_sample(tmp_path / "run")
    cap = sum(usage.calls for usage in first.pld.usage.values()) + 5
    first = compile_sample(tmp_path / "capped", budget=Budget(max_lm_calls=cap))
    files = {name: (tmp_path / "capped" / name).read_text() for name in ("program.json", "candidates.jsonl")}
    second = compile_sample(tmp_path / "capped", budget=Budget(max_lm_calls=cap))
    assert not first.pld.budget_spent
    assert not second.pld.budget_spent
    assert second.pld.validation == first.pld.validation
    assert {name: (tmp_path / "capped" / name).read_text() for name in files} == files


def test_a_stopped_run_does_not_forget_the_candidates_that_it_had_tried(tmp_path):
    whole = compile_sample(tmp_path / "whole", budget=Budget(max_iterations=0))
    assert len(whole.pld.candidates) > 1
    compile_sample(tmp_path / "run", budget=Budget(max_iterations=0, max_lm_calls=10_000))
    state = json.loads((tmp_path / "run/run.json").read_text())
    state["status"] = "stopped"
    state["usage"]["student"]["rehearsal"] = {"calls": 6_000}  # more than half of the cap
    (tmp_path / "run/run.json").write_text(json.dumps(state))
    again = compile_sample(tmp_path / "run", budget=Budget(max_iterations=0, max_lm_calls=10_000))
    assert again.pld.candidates == whole.pld.candidates


def test_a_report_that_cannot_be_drawn_is_a_warning(tmp_path, monkeypatch, caplog, pld):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    sizes = ("--train", "12", "--val", "6", "--test", "2", "--max-iterations", "0")
    with caplog.at_level(logging.WARNING):
        ended = pld("compile", "scienceqa", *sizes, "--log-dir", "run", "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout.splitlines()[-1])["program"] == "scienceqa"
    assert "report.html could not be made" in caplog.text
    assert not (tmp_path / "run/report.html").exists()
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_an_error(score):
    lm = scripted(lambda prompt: dict.fromkeys(prompt.outputs, "yes"))
    with dspy.context(lm=lm), pytest.raises(PLDError, match=f"The metric gave {score} on example q"):
        PLDTeleprompter(lambda example, prediction: score, embedder=tfidf).compile(
            dspy.Predict("question -> answer"), trainset=examples(6)
        )


def test_a_stop_during_the_search_writes_nothing_of_optuna_s(tmp_path, monkeypatch, capfd):
    def stop(*arguments):
        raise KeyboardInterrupt

    verbosity = optuna.logging.get_verbosity()
    monkeypatch.setattr(search, "measure", stop)
    with pytest.raises(KeyboardInterrupt):
        compile_sample(tmp_path / "run")
    assert "Trial" not in capfd.readouterr().err
    assert optuna.logging.get_verbosity() == verbosity
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "says"), [({"budget": "huge"}, "auto is light, medium, heavy or None"), ({"seed": -1}, "seed is")]
)
def test_settings_out_of_range_are_said_before_a_model_is_asked(arguments, says):
    lm = scripted(lambda prompt: dict.fromkeys(prompt.outputs, "yes"))
    with dspy.context(lm=lm), pytest.raises(PLDError, match=says):
        PLDTeleprompter(embedder=tfidf, **arguments).compile(dspy.Predict("question -> answer"), trainset=examples(6))
    assert not lm.engine.prompts
