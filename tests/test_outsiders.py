"""What other people bring: a source, a gate, a proposer and an operation of their own, each a small class."""

import json
import re
from types import SimpleNamespace
from typing import ClassVar
from unittest import mock

import dspy
import pytest
from fakes import FakeContext, texts_in
from scripted import examples, scripted

from pld_dspy import PLDError, PLDTeleprompter, plugins
from pld_dspy.extraction import extract, sources_of
from pld_dspy.models.embedders import tfidf
from pld_dspy.resolution import Resolution, gate_of, resolve
from pld_dspy.rules import OPERATIONS, Edit, MicroRule, Operation, Proposal, RuleSet, Verdict
from pld_dspy.teacher import Teacher

RULES = {"self": RuleSet.of([("Numbers are things to say no to", ["q0"]), ("To be understood, be brief", ["q1"])])}
YES = "To numbers say yes"


class Proverbs:
    """A source."""

    name, asks, traces = "proverbs", False, False

    def identity(self, predictors):
        return f"proverbs of {len(predictors)}"

    def micro_rules(self, context, predictors):
        return [MicroRule(predictor=name, example="proverb", rule=YES) for name in predictors]


class Shy:
    """A gate that takes what is tried on one example and gains there."""

    name, validates = "shy", True

    def judge(self, trial):
        comparison = trial.compare(trial.valset[:1], "Asking shyly")
        return Verdict(accepted=comparison.gain > 0, why=f"shy: {comparison.gain:+g}", comparison=comparison)


class Insisting:
    """A proposer that asks no teacher, and remembers in what rounds it was asked."""

    when_settled = False
    made: ClassVar[list["Insisting"]] = []

    def __init__(self):
        self.rounds = []
        self.made.append(self)

    def propose(self, context, teacher, round):
        self.rounds.append((round.number, round.refused["self"]))
        texts = ("To numbers say no", YES)
        return [Proposal("insisting", "self", [Edit(operation="revise", ids=("R1",), text=text) for text in texts])]


class Demote(Operation):
    """A rule gets a new wording and the last place."""

    name, usage, ids = "demote", "one id, and a new text that the model should read last", (1, 1)

    def apply(self, edit, rules, new):
        return [*(rule for rule in rules if rule.id not in edit.ids), *new]


@pytest.fixture(autouse=True)
def operations():
    """Operations are known to all teachers; those of a test go with it."""
    with mock.patch.dict(OPERATIONS):
        yield


@pytest.fixture
def registered(monkeypatch):
    """Registers objects as if installed packages had: `registered("gates", shy=Shy)`."""
    groups: dict[str, list] = {}
    monkeypatch.setattr(plugins, "entry_points", lambda group: groups.get(group, []))

    def register(group, **objects):
        entries = [SimpleNamespace(name=name, load=lambda thing=thing: thing) for name, thing in objects.items()]
        groups[f"pld_dspy.{group}"] = entries

    return register


def says_yes(program, example):
    return YES in texts_in(program)


def world(lm=None, teacher=None):
    valset = [example.copy(id=f"v{i}") for i, example in enumerate(examples(2))]
    return FakeContext(says_yes, lm, trainset=examples(2), valset=valset, teacher=teacher or Teacher())


# A source


def test_a_source_gives_its_rules_between_the_others():
    class More(Proverbs):
        name = "more"

    rules = extract(world(), sources_of([Proverbs(), More()]), ["self", "other"])
    assert [(rule.predictor, rule.rule) for rule in rules] == [("self", YES), ("other", YES)] * 2


def test_one_that_asks_the_teacher_goes_with_no_other_that_does():
    class Asking(Proverbs):
        asks = True

    assert len(sources_of([Asking(), "rationales"])) == 2
    with pytest.raises(PLDError, match="Two sources of rules ask the teacher: take one of them"):
        sources_of([Asking(), "examples"])


# A gate


def test_a_gate_decides_about_every_edit():
    context = world()
    how = Resolution(gate=Shy(), proposers=[Insisting], prune=False)
    assert resolve(context, RULES, 1, how)["self"]["R1"].text == YES
    assert [(step.verdict.accepted, step.verdict.why) for step in context.steps] == [
        (False, "shy: +0"),
        (True, "shy: +1"),
    ]
    assert {len(ids) for _, purpose, ids in context.scored if purpose == "Asking shyly"} == {1}
    assert how.identity()["gate"] == "shy"


def test_a_version_has_its_score_on_the_whole_validation_set_whatever_the_gate_looked_at():
    context = world()
    context.scores = lambda program, example: says_yes(program, example) and example.id == "v1"
    resolve(context, RULES, 1, Resolution(gate=Shy(), proposers=[Insisting], prune=False))
    [version] = context.versions
    assert version.score == 0.5, "the gate saw v1 only"


def test_a_gate_that_an_installed_package_registers_goes_by_its_name(registered):
    registered("gates", shy=Shy)
    assert isinstance(gate_of("shy"), Shy)
    assert Resolution(gate="shy").identity()["gate"] == "shy"
    with pytest.raises(PLDError, match=r"^There is no gate 'bold'; there are: positive, significant, off, shy\.$"):
        Resolution(gate="bold")


def test_what_decides_nothing_is_no_gate():
    with pytest.raises(PLDError, match=r"Gate or the name of one, not 3\.$"):
        Resolution(gate=3)


# A proposer


def test_a_proposer_is_made_for_every_compile_and_asked_in_every_round():
    how = Resolution(proposers=[Insisting], prune=False)
    Insisting.made.clear()  # the settings have made one to try
    for _ in range(2):
        context = world()
        assert resolve(context, RULES, 3, how)["self"]["R1"].text == YES
        assert [step.purpose for step in context.steps] == ["insisting", "insisting"], "nothing is tried twice"
    first, second = Insisting.made
    assert first is not second
    assert first.rounds == second.rounds
    assert [number for number, _ in first.rounds] == [1, 2], "the second changes nothing, so there is no third"
    assert first.rounds[0] == (1, "")
    assert first.rounds[1][1].startswith("revise R1: To numbers say no (changes nothing")
    assert how.identity()["proposers"] == ["Insisting"]


def test_a_proposer_that_waits_is_asked_once_the_others_change_nothing():
    class Waiting(Insisting):
        when_settled = True

    asked = []

    class Idle:
        when_settled = False

        def propose(self, context, teacher, round):
            asked.append(round.number)
            return []

    Insisting.made.clear()
    how = Resolution(proposers=[Insisting, Waiting, Idle], prune=False)
    resolve(world(), RULES, 3, how)
    waiting = Insisting.made[-1]
    assert [number for number, _ in waiting.rounds] == [2]
    assert asked == [1, 2]


def test_proposers_of_installed_packages_stand_beside_the_names_that_there_are(registered):
    registered("proposers", insisting=Insisting)
    assert resolve(world(), RULES, 1, Resolution(proposers=["insisting"], prune=False))["self"]["R1"].text == YES
    there = "contradictions, repairs, shortening, insisting"
    with pytest.raises(PLDError, match=rf"^There is no proposer 'x'; there are: {there}\.$"):
        Resolution(proposers=["x"])


# An operation


def test_an_operation_is_told_to_the_teacher_and_made():
    edits = [{"operation": "demote", "ids": ["R1"], "text": YES, "reason": "it is the last word"}]

    def script(prompt):
        return {"edits": json.dumps(edits if "failures" in prompt.fields else []), "reasoning": "because"}

    context = world(scripted(script), Teacher(operations=[Demote()]))
    best = resolve(context, RULES, 1, Resolution(prune=False))["self"]
    assert [(rule.id, rule.text) for rule in best.rules] == [("R2", "To be understood, be brief"), ("R1", YES)]
    assert best["R1"].edits[0].before == ("Numbers are things to say no to",), "its history goes on"
    [prompt] = [prompt for prompt in context.lm.engine.prompts if "failures" in prompt.fields]
    assert "- demote: one id, and a new text that the model should read last.\n" in prompt.system
    assert '"demote"' in prompt.system, "in the schema of the reply"
    assert Edit.model_json_schema()["properties"]["operation"]["enum"] == [*SIX, "demote"]


def test_an_operation_of_a_teacher_before_is_not_lost_and_unknown_ones_are_refused():
    Teacher(operations=[Demote()])
    assert Edit(operation="demote", ids=("R1",), text=YES).fault is None
    assert Edit(operation="demote", text=YES).fault == "demote cannot name 0 rules"
    fault = Edit(operation="triple", ids=("R1",), text=YES).fault
    assert re.fullmatch(r"there is no operation 'triple'; there are revise, add, .*, reorder, demote", fault)


SIX = ["revise", "add", "merge", "split", "delete", "reorder"]
IN_WORDS = """
- revise: one id, and a new text that mends the rule;
- add: no ids, and the text of a rule for a kind of question that no rule covers;
- merge: two or more ids, and one text that replaces these rules;
- split: one id, and two or more texts that replace this rule;
- delete: the ids of rules that mislead;
- reorder: two or more ids, in the order in which the model should read these rules.
"""


def test_without_one_the_teacher_knows_six_operations():
    assert f"the rules:{IN_WORDS}\nEach edit is tried" in Teacher().resolve.signature.instructions
    assert Edit.model_json_schema()["properties"]["operation"] == {
        "enum": SIX,
        "title": "Operation",
        "type": "string",
    }


# All together


def test_a_compile_takes_a_source_a_gate_a_proposer_and_an_operation(tmp_path):
    def script(prompt):
        return {"answer": "yes" if "To everything say yes" in prompt.system else "no"}

    class Asserting(Insisting):
        def propose(self, context, teacher, round):
            return [
                Proposal("asserting", "self", [Edit(operation="demote", ids=("R1",), text="To everything say yes")])
            ]

    class Any(Shy):
        def judge(self, trial):
            return Verdict(accepted=True, why="any will do")

    teleprompter = PLDTeleprompter(
        teacher_lm=scripted(script),
        embedder=tfidf,
        extraction=Proverbs(),
        resolution=Resolution(gate=Any(), proposers=[Asserting], prune=False),
        log_dir=tmp_path / "run",
    )
    with dspy.context(lm=scripted(script)):
        compiled = teleprompter.compile(
            dspy.Predict("question -> answer"), trainset=examples(6), teacher=Teacher(operations=[Demote()])
        )
    assert [rule.text for rule in compiled.pld.rules["self"].rules] == ["To everything say yes"]
    configuration = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["configuration"]
    assert configuration["extraction"] == "proverbs of 1"
    assert configuration["resolution"]["gate"] == "shy"
    assert configuration["resolution"]["proposers"] == ["Asserting"]
