import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.errors import PLDError
from pld_dspy.extraction.people import expert_rules
from pld_dspy.rules import MicroRule, Rule, RuleSet
from pld_dspy.rules.wording import flaw, sound
from pld_dspy.run.folder import RunFolder

RULE = "If the arrow points to an organism, it eats."
ONE = ["answer"]
TWO = ["find", "answer"]
SET = RuleSet(
    rules=(
        Rule(id="R3", text=RULE, examples=("7", "9"), authors=("Ann", "Bo")),
        Rule(id="R5", text="If in doubt, look at the axis."),
    ),
    last_id=5,
)


@pytest.fixture
def file(tmp_path):
    def write(*lines, ends="\n", encoding="utf-8"):
        path = tmp_path / "rules.jsonl"
        text = ends.join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_a_line_says_as_much_as_its_writer_knew(file):
    path = file(
        {"rule": RULE},
        "",
        {"rule": RULE, "example": 12, "author": " Zoë ", "reasoning": "Seen often.", "predictor": "answer", "note": 1},
        {"rule": RULE, "author": "Bo", "example": None},
    )
    assert expert_rules(path, ONE) == expert_rules(str(path), ONE)
    assert expert_rules(path, ONE) == [
        MicroRule(predictor="answer", example="expert:1", rule=RULE, author="expert"),
        MicroRule(predictor="answer", example="12", rule=RULE, author="Zoë", reasoning="Seen often."),
        MicroRule(predictor="answer", example="Bo:4", rule=RULE, author="Bo"),
    ]


def test_people_may_write_what_a_teacher_may_not(file):
    short = "Take (B)."
    assert flaw(short) is not None
    assert [rule.rule for rule in expert_rules(file({"rule": short}, {"rule": "One\n two"}), ONE)] == [short, "One two"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_files_of_other_editors(file, encoding, ends):
    rules = expert_rules(
        file({"rule": "Größe → 大きさ\u2028🙂"}, {"rule": RULE}, "", ends=ends, encoding=encoding), ONE
    )
    assert [rule.rule for rule in rules] == ["Größe → 大きさ 🙂", RULE]


def test_half_a_character_is_replaced(tmp_path):
    (tmp_path / "rules.jsonl").write_text('{"rule": "If \\ud83d is shown", "example": "\\ud83d"}', encoding="utf-8")
    found = expert_rules(tmp_path / "rules.jsonl", ONE)[0]
    assert (found.rule, found.example) == ("If ? is shown", "?")


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=3), st.booleans())
def test_any_text_survives_the_file(tmp_path_factory, texts, ascii):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    lines = [json.dumps({"rule": f"R {a}", "author": b, "reasoning": c}, ensure_ascii=ascii) for a, b, c in texts]
    path.write_bytes("\n".join(lines).encode("utf-8"))
    found = expert_rules(path, ONE)
    assert [rule.rule for rule in found] == [" ".join(f"R {sound(a)}".split()) for a, _, _ in texts]
    assert [rule.reasoning for rule in found] == [sound(c) for *_, c in texts]
    assert [rule.author for rule in found] == [sound(b).strip() or "expert" for _, b, _ in texts]


OF_SET = [
    MicroRule(predictor="answer", example="7", rule=RULE, author="Ann, Bo"),
    MicroRule(predictor="answer", example="expert:R5", rule="If in doubt, look at the axis.", author="expert"),
]


def test_a_rule_set_gives_a_micro_rule_for_each_rule(tmp_path):
    SET.write(tmp_path / "rules.json")
    assert expert_rules(SET, ONE) == OF_SET
    assert expert_rules(tmp_path / "rules.json", ONE) == OF_SET


def test_rule_sets_by_predictor(tmp_path):
    sets = {"answer": SET, "find": RuleSet()}
    RunFolder(tmp_path / "run", {}).write_rules(sets, 2)
    assert expert_rules(sets, TWO) == OF_SET
    assert expert_rules(tmp_path / "run" / "rules" / "002.json", TWO) == OF_SET


def test_micro_rules_of_ones_own():
    given = [MicroRule(predictor="answer", example="", rule=RULE), OF_SET[0]]
    first, second = expert_rules(given, TWO)
    assert (first.author, first.example, first.rule) == ("expert", "expert:1", RULE)
    assert second == OF_SET[0]
    assert expert_rules([MicroRule(predictor="", example="3", rule=RULE)], ONE)[0].predictor == "answer"


def test_what_a_run_wrote_can_be_given_back(file):
    assert expert_rules(file(*(rule.model_dump_json() for rule in OF_SET)), ONE) == OF_SET


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no expert rule in .*rules.jsonl"),
        (["", " "], "no expert rule in .*rules.jsonl"),
        ([{"rule": RULE}, "If ..."], "Line 2 of .*rules.jsonl is no JSON"),
        (["{", '"rules": ['], "Line 1 of .* is no JSON: .* a rule set"),
        (["", ["If ..."]], "Line 2 of .* is no expert rule: write an object"),
        ([[{"rule": RULE}]], "Line 1 of .* is no expert rule: write an object"),
        ([{"text": RULE}], 'Line 1 of .* with a "rule"'),
        ([{"rule": RULE}, {"rule": 5}], "Line 2 of .* is no expert rule: rule: Input should be a valid string"),
        ([{"rule": " \n"}], "Line 1 of .*: rule: .*a rule needs a text"),
        ([{"rule": RULE, "example": ["3"]}], "Line 1 of .*: example: "),
        ([{"rule": RULE, "author": 3}], "Line 1 of .*: author: "),
        ([{"rule": RULE, "predictor": "ask"}], "Line 1 of .* predictor 'ask', .*: answer"),
        ([{"rule": RULE}, {"rules": []}], "Line 2 of .* is a rule set, but the file has other lines"),
        ([{"answer": {"rules": []}}, {"rule": RULE}], "Line 1 of .* is a rule set"),
        ([{"rules": [{"id": "R1"}]}], "rules.jsonl is not a rule set: rules.0.text: "),
        ([{"answer": {"rules": [{"id": "R1", "text": ""}]}}], "rules.jsonl: answer is not a rule set: rules.0.text: "),
        ([{"rules": []}], "no expert rule in "),
        ([{"ask": {"rules": [{"id": "R1", "text": RULE}]}}], "predictor 'ask', .*: answer"),
        (["[" * 100_000], "Line 1 of .* is no JSON"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(file, lines, message):
    with pytest.raises(PLDError, match=message):
        expert_rules(file(*lines), ONE)


def test_files_that_are_none(tmp_path, file):
    with pytest.raises(PLDError, match=r"none.jsonl cannot be read: No such file"):
        expert_rules(tmp_path / "none.jsonl", ONE)
    with pytest.raises(PLDError, match="cannot be read: Is a directory"):
        expert_rules(tmp_path, ONE)
    with pytest.raises(PLDError, match="save the file as UTF-8"):
        expert_rules(file({"rule": "Größe der Pfeile"}, encoding="latin-1"), ONE)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "no expert rule: give at least one"),
        ({}, "no expert rule: give at least one"),
        (RuleSet(), "no expert rule: give at least one"),
        ([OF_SET[0], SET], "Expert rule 2 is a RuleSet"),
        ([{"rule": RULE}], "Expert rule 1 is a dict"),
        ({"answer": SET, "find": OF_SET}, "neither rule sets by predictor nor micro-rules"),
        ({"ask": SET}, "predictor 'ask', which learns no rules; those that do: find, answer"),
        (SET, "does not say which predictor .* of find, answer"),
        ([MicroRule(predictor="", example="1", rule=RULE)], "Expert rule 1 does not say which predictor"),
    ],
)
def test_objects_that_are_no_expert_rules(source, message):
    with pytest.raises(PLDError, match=message):
        expert_rules(source, TWO)


def test_a_line_names_its_predictor_where_several_learn(file):
    path = file({"rule": RULE, "predictor": "find"}, {"rule": RULE})
    with pytest.raises(PLDError, match=r"Line 2 of .* does not say which predictor"):
        expert_rules(path, TWO)
    assert expert_rules(file({"rule": RULE, "predictor": "find"}), TWO)[0].predictor == "find"
