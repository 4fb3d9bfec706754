"""Whole compiles of a small student: budgets that end anywhere, teachers without a model, gates without validation."""

import json

import dspy
import pytest
from fakes import FakeContext
from scripted import examples, scripted
from sklearn.cluster import DBSCAN

from pld_dspy import PLDError, PLDTeleprompter
from pld_dspy.extraction import People, Rationales, extract
from pld_dspy.resolution import Resolution
from pld_dspy.rules import Edit, MicroRule, Proposal, Verdict
from pld_dspy.run import NOT_RUN, Budget, Outcome, Runner

STUDENT = dspy.Predict("question -> answer")
THINGS = ["apples", "birds", "clouds", "doors"]
QUESTIONS = [example.copy(question=f"Are {thing} things?") for example, thing in zip(examples(4), THINGS, strict=True)]
VALSET = [example.copy(id=f"v{number}") for number, example in enumerate(QUESTIONS)]


def yes_to(thing: str) -> str:
    return f"If the question is about {thing}, then say yes."


def thing_in(text: str) -> str:
    return next(thing for thing in THINGS if thing in text)


def world(prompt):
    """A student that needs the rule for its question, and a teacher that first writes but one of the rules."""
    if "edits" not in prompt.outputs and "rule" not in prompt.outputs:
        knows = yes_to(thing_in(prompt.fields["question"])) in prompt.system
        return {"thought": "hm", "answer": "yes" if knows else "no"}
    if "rules" in prompt.fields and "rule" in prompt.outputs:
        return {"rule": "If anything at all is asked, then be careful."}
    if "rule" in prompt.outputs:
        thing = thing_in(prompt.fields["example"])
        rule = yes_to(thing) if thing == "apples" else f"If anything is asked, then be as calm as {thing[:2]} are."
        return {"rule": rule, "reasoning": "So."}
    edits = []
    if "failures" in prompt.fields:
        edits = [{"operation": "add", "text": yes_to(thing)} for thing in THINGS if thing in prompt.fields["failures"]]
    elif "pairs" not in prompt.fields:
        edits = [{"operation": "revise", "ids": ["R1"], "text": "If anything is asked, be careful."}]
    return {"edits": json.dumps(edits), "reasoning": "So."}


class TwoHeaps:
    """What says yes, and the rest."""

    name = "two heaps"

    def __call__(self, texts):
        return [[1.0, 0.0] if "say yes" in text else [0.0, 1.0] for text in texts]


def compiled(student=STUDENT, teacher=None, trainset=QUESTIONS, max_iterations=2, **arguments):
    arguments |= {"budget": Budget(max_iterations=max_iterations), "clustering": DBSCAN(0.1, min_samples=1)}
    with dspy.context(lm=scripted(world)):
        teleprompter = PLDTeleprompter(embedder=TwoHeaps(), num_threads=1, **arguments)
        return teleprompter.compile(student, trainset=trainset, valset=VALSET, teacher=teacher)


def texts(program, name="self"):
    return {rule.text for rule in program.pld.rules[name].rules}


def test_every_phase_has_its_part_in_a_compile():
    program = compiled()
    assert texts(program) == set(map(yes_to, THINGS))
    assert program.pld.validation == {"student": 0.0, "clustered": 0.25, "compiled": 1.0}
    assert {step.purpose for step in program.pld.steps if step.verdict.accepted} == {"repair", "compression", "pruning"}
    assert not program.pld.budget_spent


def end_at(purpose, monkeypatch):
    """Let the budget end before the first question that is asked for a purpose."""
    run = Runner.map

    def until(runner, function, items, description):
        runner.spent |= description == purpose and bool(items)
        return [Outcome(None, NOT_RUN)] * len(items) if runner.spent else run(runner, function, items, description)

    monkeypatch.setattr(Runner, "map", until)
    monkeypatch.setattr(Runner, "share_used", lambda runner: float(runner.spent))


@pytest.mark.parametrize(
    ("purpose", "validation"),
    [
        ("Validating the student", {}),
        ("Extracting rules", {"student": 0.0, "compiled": 0.0}),
        ("Uniting rules", {"student": 0.0, "compiled": 0.0}),
        ("Validating clustering 1", {"student": 0.0, "compiled": 0.0}),
        ("Looking for contradictions, round 1", {"student": 0.0, "clustered": 0.25, "compiled": 0.25}),
        ("Looking for failures, round 1", {"student": 0.0, "clustered": 0.25, "compiled": 0.25}),
        ("Asking for repairs, round 1", {"student": 0.0, "clustered": 0.25, "compiled": 0.25}),
        ("Trying an edit on its failures", {"student": 0.0, "clustered": 0.25, "compiled": 0.25}),
        ("Validating an edit", {"student": 0.0, "clustered": 0.25, "compiled": 0.25}),
        ("Looking for failures, round 2", {"student": 0.0, "clustered": 0.25, "compiled": 1.0}),
        ("Shortening the rules, round 2", {"student": 0.0, "clustered": 0.25, "compiled": 1.0}),
        ("Measuring the use of rules", {"student": 0.0, "clustered": 0.25, "compiled": 1.0}),
        ("Looking at idle rules' own examples", {"student": 0.0, "clustered": 0.25, "compiled": 1.0}),
    ],
)
def test_a_budget_that_ends_in_any_phase_returns_the_best_so_far(monkeypatch, purpose, validation):
    end_at(purpose, monkeypatch)
    program = compiled()
    assert program.pld.budget_spent
    assert program.pld.returned.endswith("The budget ended the compile before it was through.")
    assert program.pld.validation == validation
    with_rules = validation.get("compiled", 0.0) > 0.0
    assert bool(program.pld.rules.get("self")) == with_rules == ("say yes" in program.signature.instructions)


class Unseen:
    """Takes everything without a look at scores."""

    name, validates = "unseen", False

    def judge(self, trial):
        return Verdict(accepted=True, why="it looked good")


class Harm:
    """Proposes the end of the rule that says yes."""

    when_settled = False

    def propose(self, context, teacher, round):
        ids = [rule.id for rule in round.rules["self"].rules if "say yes" in rule.text]
        return [Proposal("harm", "self", [Edit(operation="delete", ids=(id,)) for id in ids])]


@pytest.mark.parametrize("gate", ["off", Unseen()])
def test_without_validation_the_last_version_is_returned_with_its_score(gate):
    program = compiled(resolution=Resolution(gate=gate, proposers=[Harm]))
    assert program.pld.validation == {"student": 0.0, "clustered": 0.25, "compiled": 0.0}
    assert len(program.pld.rules["self"]) == 1
    assert program.pld.returned == "The last of 2 versions of the rules is returned, as the gate is off."
    assert [step.purpose for step in program.pld.steps] == ["harm"], "nothing is shortened or pruned"


def test_without_validation_a_budget_that_ends_leaves_the_last_version_unscored(monkeypatch):
    end_at("Validating", monkeypatch)
    program = compiled(resolution=Resolution(gate="off", proposers=[Harm]))
    assert program.pld.validation == {"student": 0.0, "clustered": 0.25}
    assert len(program.pld.rules["self"]) == 1
    assert program.pld.returned.startswith("The last of 2 versions of the rules is returned")


PEOPLE = People([MicroRule(predictor="", example="", rule=yes_to("birds"), author="Ann")])
EXPLAINED = [example.copy(solution="Apples are things that grow on all trees.") for example in QUESTIONS]


def test_people_need_no_teacher():
    program = compiled(teacher="none", extraction=[PEOPLE, "examples"])
    assert texts(program) == {yes_to("birds")}
    assert program.pld.rules["self"].rules[0].authors == ("Ann",)
    assert program.pld.usage["teacher"].calls == 0
    assert program.pld.models["teacher"] == "no model"
    assert program.pld.validation["compiled"] == 0.25


def test_people_stand_beside_the_datas_own_sentences():
    program = compiled(teacher="rationales", trainset=EXPLAINED, extraction=[PEOPLE, "examples"])
    clustered = program.pld.candidates[0].rules["self"]
    assert {rule.authors for rule in clustered.rules} == {("Ann",), ()}
    assert any("grow on all trees" in rule.text for rule in clustered.rules)
    assert program.pld.usage["teacher"].calls == 0


@pytest.mark.parametrize("teacher", ["none", "rationales"])
def test_a_teacher_without_a_model_rewrites_nothing(teacher):
    with pytest.raises(PLDError, match=f"The teacher '{teacher}' does not go with the extraction 'rewritten"):
        compiled(teacher=teacher, trainset=EXPLAINED, extraction=[PEOPLE, "rewritten rationales"])


def test_without_a_source_there_is_nothing_to_compile():
    for arguments in ({"teacher": "none"}, {"extraction": "none"}, {"extraction": []}):
        with pytest.raises(PLDError, match="There is no source of rules: name an extraction, or give people's rules"):
            compiled(**arguments)


def test_an_unknown_source_is_named_with_those_that_there_are():
    there = "examples, rewritten rationales, rationales"
    with pytest.raises(PLDError, match=rf"^There is no extraction 'books'; there are: {there}\.$"):
        compiled(extraction=[PEOPLE, "books"])


class TwoSteps(dspy.Module):
    """Its first predictor has no labels, and learns from traces."""

    def __init__(self):
        super().__init__()
        self.think = dspy.Predict("question -> thought")
        self.decide = dspy.Predict("question, thought -> answer")

    def forward(self, question):
        return self.decide(question=question, thought=self.think(question=question).thought)


def test_people_may_write_for_a_predictor_without_labels():
    rule = MicroRule(predictor="think", example="1", rule="If it is hard, then think twice.", author="Ann")
    program = compiled(TwoSteps(), extraction=[People([rule]), "examples"], max_iterations=0)
    assert ("If it is hard, then think twice.", ("Ann",)) in [
        (rule.text, rule.authors) for rule in program.pld.candidates[0].rules["think"].rules
    ]


def test_people_write_for_nobody_who_learns_nothing():
    rule = MicroRule(predictor="think", example="1", rule="If it is hard, then think twice.", author="Ann")
    with pytest.raises(PLDError, match="predictor 'think', which learns no rules; those that do: decide"):
        compiled(TwoSteps(), teacher="none", extraction=People([rule]))


def test_sentences_of_the_data_teach_no_predictor_without_labels():
    context = FakeContext(student=TwoSteps(), trainset=EXPLAINED)
    rules = extract(context, [Rationales()], ["think", "decide"])
    assert {rule.predictor for rule in rules} == {"decide"}
