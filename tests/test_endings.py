"""How a compile ends: by its budget in any phase, with a gate that looks at no score, and without a teacher's model."""

import inspect
import json

import dspy
import numpy as np
import pytest
from scripted import examples, scripted
from sklearn.base import BaseEstimator

from pld_dspy import MicroRule, PLDTeleprompter
from pld_dspy.clustering import tfidf
from pld_dspy.datasets import load
from pld_dspy.extraction import People
from pld_dspy.programs import ScienceQA
from pld_dspy.resolution import Resolution
from pld_dspy.rules import Verdict
from pld_dspy.run import NOT_RUN, Budget, Runner

STUDENT = dspy.Predict("question -> answer")
EVEN, ODD = "If the number is even, then say yes.", "If the number is odd, then say yes."
VAIN = "If somebody asks for kites, then be brief about them."


class InTwo(BaseEstimator):
    """Two clusters, by turns."""

    def fit_predict(self, vectors):
        return np.arange(len(vectors)) % 2


def number(text):
    return int(text.split("Is ")[1].split()[0])


def world(prompt):
    """A teacher whose rules get half of the answers right; its edits mend the other half."""
    if "example" in prompt.fields:
        thing = ("apples", "birds", "clouds", "doors")[number(prompt.fields["example"])]
        rule = f"If the question is about {thing}, then say no."
        return {"rule": rule, "reasoning": "So."}
    if "edits" in prompt.outputs:
        edits = [{"operation": "add", "text": ODD, "reason": "It is missing."}] if "failures" in prompt.fields else []
        return {"edits": json.dumps(edits), "reasoning": "So."}
    if "rule" in prompt.outputs:
        return {"rule": EVEN if "apples" in prompt.fields["rules"] else VAIN, "reasoning": "So."}
    knows = (EVEN, ODD)[number(prompt.fields["question"]) % 2] in prompt.system
    return {"answer": "yes" if knows else "no"}


def compiled(script=world, **arguments):
    with dspy.context(lm=scripted(script)):
        teleprompter = PLDTeleprompter(embedder=tfidf, clustering=InTwo(), num_threads=1, **arguments)
        return teleprompter.compile(STUDENT, trainset=examples(4), valset=examples(8)[4:])


@pytest.fixture
def phases(monkeypatch):
    """What the runner was to do, with the calls until then, and whether the budget kept it from doing all of it."""
    entries, run = [], Runner.map

    def spy(self, role, function, items, description, *names, **more):
        calls = self._calls()
        outcomes = run(self, role, function, items, description, *names, **more)
        if items:
            entries.append((description, calls, any(outcome.error == NOT_RUN for outcome in outcomes)))
        return outcomes

    monkeypatch.setattr(Runner, "map", spy)
    return entries


def test_a_budget_that_ends_in_any_phase_returns_the_best_until_then(phases):
    whole = compiled()
    assert whole.pld.validation == {"student": 0.0, "clustered": 0.5, "compiled": 1.0}
    assert not whole.pld.budget_spent
    started = {}
    for description, calls, _ in phases:
        started.setdefault(description, calls)
    order = list(started)
    assert len(order) == 15
    assert started[order[1]] == 1, "one question before anything else is paid"
    for place, phase in enumerate(order[1:], start=1):
        phases.clear()
        cap = started[phase]
        pld = compiled(budget=Budget(max_lm_calls=cap)).pld
        assert next(description for description, _, cut in phases if cut) == phase
        assert sum(usage.calls for usage in pld.usage.values()) == cap
        assert pld.budget_spent
        if place <= order.index("Validating the student"):
            assert pld.validation == {}
        elif place <= order.index("Validating clustering 1"):
            assert pld.validation == {"student": 0.0, "compiled": 0.0}
        else:
            best = 0.5 if place <= order.index("Validating an edit") else 1.0
            assert pld.validation == {"student": 0.0, "clustered": 0.5, "compiled": best}
        ruled = place > order.index("Validating clustering 1")
        assert any(map(len, pld.rules.values())) == ruled, "no rules that were not validated"
        assert "The budget ended the compile" in pld.returned


class Blind:
    """Takes every edit, and looks at nothing."""

    name, validates = "blind", False

    def judge(self, trial):
        return Verdict(accepted=True, why="unseen")


def spoiled(prompt):
    """The same with a teacher whose edits take out what helps."""
    if "failures" in prompt.fields and EVEN in prompt.fields["rules"]:
        return {"edits": json.dumps([{"operation": "delete", "ids": ["R1"], "reason": "So."}]), "reasoning": "So."}
    return {"edits": "[]", "reasoning": "So."} if "edits" in prompt.outputs else world(prompt)


def test_a_gate_that_looks_at_no_score_returns_the_last_version_with_its_score(tmp_path):
    pld = compiled(spoiled, resolution=Resolution(gate=Blind()), log_dir=tmp_path / "run").pld
    assert pld.validation == {"student": 0.0, "clustered": 0.5, "compiled": 0.0}, "scored, and not chosen by the score"
    assert [rule.text for rule in pld.rules["self"].rules] == [VAIN]
    assert [(step.purpose, step.verdict.why) for step in pld.steps] == [("repair", "unseen")]
    assert pld.returned.startswith("The last of 2 versions of the rules is returned")
    assert json.loads((tmp_path / "run/run.json").read_text())["configuration"]["resolution"]["gate"] == "blind"
    assert compiled(spoiled).pld.validation["compiled"] == 0.5, "with a gate the edit is refused"


def test_a_budget_that_ends_before_the_last_version_is_scored_leaves_it_without_a_score(phases):
    compiled(spoiled, resolution=Resolution(gate="off"))
    (calls,) = (calls for description, calls, _ in phases if description == "Validating")
    pld = compiled(spoiled, resolution=Resolution(gate="off"), budget=Budget(max_lm_calls=calls)).pld
    assert pld.validation == {"student": 0.0, "clustered": 0.5}
    assert [rule.text for rule in pld.rules["self"].rules] == [VAIN]
    assert "The last of 2 versions" in pld.returned
    assert "The budget ended the compile" in pld.returned


def of_people(teacher, folder):
    """A compile with a person's rule and without a model that teaches; what run.json says of its rules' sources."""
    people = People([MicroRule(predictor="", example="", rule="If in doubt, then look it up again.", author="Ann")])
    teleprompter = PLDTeleprompter(extraction=[people, "examples"], log_dir=folder, num_threads=1)
    splits = {split: load("scienceqa", split, limit=size) for split, size in (("train", 12), ("val", 6))}
    program = teleprompter.compile(ScienceQA(), teacher=teacher, trainset=splits["train"], valset=splits["val"])
    configuration = json.loads((folder / "run.json").read_text())["configuration"]
    return program.pld, configuration["extraction"].split(", ")


@pytest.mark.parametrize(("teacher", "further"), [("none", []), ("rationales", ["rationales"])])
def test_peoples_rules_need_no_teacher(rehearsal, tmp_path, teacher, further):
    pld, (people, *others) = of_people(teacher, tmp_path / "run")
    assert people.startswith("people 1 ")
    assert others == further, "the examples are left out, as they would be shown to a model"
    rules = pld.candidates[0].rules["answer"].rules
    assert [rule.text for rule in rules if rule.authors == ("Ann",)] == ["If in doubt, then look it up again."]
    assert (len(rules) > 1) == (teacher == "rationales"), "the data's own sentences stand beside it"
    assert pld.usage["teacher"].calls == 0
    assert pld.models["teacher"] == "no model"
    assert {step.purpose for step in pld.steps} <= {"pruning"}


def test_the_teleprompter_has_few_settings():
    assert len(inspect.signature(PLDTeleprompter).parameters) <= 14
