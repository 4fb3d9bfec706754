"""The checks that authors run on what they add: they pass on what is built in, and say what is wrong with the rest."""

import numpy as np
import pytest

from pld_dspy import testing
from pld_dspy.clustering.algorithms import ALGORITHMS, Algorithm
from pld_dspy.extraction import Examples, People, Rationales
from pld_dspy.metrics import MeasureScores, TextMeasure
from pld_dspy.models.embedders import tfidf
from pld_dspy.optimizers import Optimizer, find_optimizers
from pld_dspy.programs import ScienceQA
from pld_dspy.resolution.gates import GATES, Positive
from pld_dspy.resolution.proposers import PROPOSERS
from pld_dspy.rules import OPERATIONS, MicroRule, Operation, Verdict


@pytest.fixture(autouse=True)
def operations():
    """Those that there were."""
    before = dict(OPERATIONS)
    yield
    OPERATIONS.clear()
    OPERATIONS.update(before)


@pytest.mark.parametrize("name", GATES)
def test_gates_pass(name):
    testing.check_gate(GATES[name]())


class Blind(Positive):
    name = "blind"

    def judge(self, trial):
        return Verdict(accepted=True, why="why not")


class Fickle(Positive):
    name = "fickle"

    def judge(self, trial):
        self.n = getattr(self, "n", 0) + 1
        return Verdict(accepted=False, why=f"the {self.n}th time")


@pytest.mark.parametrize(("gate", "why"), [(Blind(), "loses"), (Fickle(), "second look"), (object(), "lacks")])
def test_a_gate_that_cannot_be_relied_on_fails(gate, why):
    with pytest.raises(AssertionError, match=why):
        testing.check_gate(gate)


def test_sources_pass():
    for source in (Examples(), Rationales(), People([MicroRule(predictor="", example="", rule="If it is, it is.")])):
        testing.check_source(source)


def test_a_source_for_another_predictor_fails():
    class Lost(Rationales):
        def micro_rules(self, context, predictors):
            return [MicroRule(predictor="nobody", example="e", rule="If it is lost, look for it.")]

    with pytest.raises(AssertionError, match="a predictor that is not"):
        testing.check_source(Lost())


@pytest.mark.parametrize("name", PROPOSERS)
def test_proposers_pass(name):
    testing.check_proposer(PROPOSERS[name])


def test_a_proposer_of_other_things_fails():
    class Chatty:
        when_settled = False

        def propose(self, context, teacher, round):
            return ["delete everything"]

    with pytest.raises(AssertionError, match="no Proposal"):
        testing.check_proposer(Chatty)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_operations_pass(name):
    testing.check_operation(OPERATIONS[name])


def test_an_operation_that_touches_other_rules_fails():
    class Sweep(Operation):
        name, usage, ids = "sweep", "one id, and all rules go", (1, 1)

        def apply(self, edit, rules, new):
            return [*new]

    with pytest.raises(AssertionError, match="does not name"):
        testing.check_operation(Sweep())


def test_embedders():
    testing.check_embedder(tfidf)

    class Random:
        name = "random"

        def __call__(self, texts):
            return np.random.default_rng().normal(size=(len(texts), 4))

    with pytest.raises(AssertionError, match="other vectors"):
        testing.check_embedder(Random(), made_by_name=False)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_algorithms_pass(name):
    testing.check_algorithm(ALGORITHMS[name])


def test_an_algorithm_without_whole_labels_fails():
    halves = Algorithm("halves", lambda *_: {}, lambda points, *_: np.full(len(points), 0.5), lambda *_: {})
    with pytest.raises(AssertionError, match="whole numbers"):
        testing.check_algorithm(halves)


def test_measures():
    lengths = TextMeasure("Length", lambda said, gold: MeasureScores([float(len(text)) for text in said]))
    testing.check_measure(lengths)
    short = TextMeasure("Short", lambda said, gold: MeasureScores([1.0]))
    with pytest.raises(AssertionError, match="get 1 scores"):
        testing.check_measure(short)


def test_students():
    sample = ScienceQA.sample()["train"][:5]
    testing.check_student(ScienceQA(), sample)

    class Mute(ScienceQA):
        def in_words(self, example, answer):
            return ""

    with pytest.raises(AssertionError, match="says nothing"):
        testing.check_student(Mute(), sample)


def test_optimizers():
    testing.check_optimizer(find_optimizers(["uncompiled"])["uncompiled"])

    def spoil(job):
        job.student.answer.signature = job.student.answer.signature.with_instructions("Guess.")
        return job.student

    with pytest.raises(AssertionError, match="changes the student"):
        testing.check_optimizer(Optimizer("Spoiler", "none", spoil))
