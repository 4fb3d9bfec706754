"""Checks for authors of what other packages add, as scikit-learn's estimator checks are.

Each check takes the object that an entry point names and raises an AssertionError that says what is wrong with it.
They run offline: where a model is needed, it is the simulator.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dspy
import numpy as np

from pld_dspy.clustering import Algorithm, search_clusters
from pld_dspy.clustering.points import points_of
from pld_dspy.context import Compile, Version
from pld_dspy.extraction import Source
from pld_dspy.metrics import Measure
from pld_dspy.models.embedders import Embedder, embed, embedder, tfidf
from pld_dspy.optimizers import Job, Optimizer
from pld_dspy.programs import ScienceQA
from pld_dspy.rehearsal import rehearsal_lm
from pld_dspy.resolution import Gate, Proposer, Round, Trial
from pld_dspy.resolution.proposers import Diagnosis
from pld_dspy.rules import Edit, MicroRule, Operation, Proposal, Rule, RuleSet, Verdict
from pld_dspy.run import RunFolder, Runner
from pld_dspy.student import in_words, metric_of, score_of
from pld_dspy.teacher import Teacher

TEXTS = ["If the sky is red, expect wind.", "If the sky is grey, expect rain.", "If a cat purrs, it is content."]
RULES = RuleSet.of([(text, (f"e{number}",)) for number, text in enumerate(TEXTS)])


def context(n: int = 12, seed: int = 0) -> Compile:
    """A context as phases get it: ScienceQA's student on n examples of the sample, with the simulated models."""
    student, sample, lm = ScienceQA(), ScienceQA.sample(), rehearsal_lm()
    student.set_lm(lm)
    return Compile(
        student=student,
        student_lm=lm,
        teacher=Teacher(),
        teacher_lm=lm,
        trainset=sample["train"][:n],
        valset=sample["val"][:n],
        metric=metric_of(student),
        embedder=tfidf,
        runner=Runner(num_threads=2),
        folder=RunFolder(None),
        seed=seed,
    )


def check_source(source: Source) -> None:
    """A source says what it is, and gives micro-rules for predictors that learn."""
    assert isinstance(source, Source), f"{source!r} lacks an attribute of Source: name, asks, traces or a method."
    identity = source.identity(["answer"])
    assert isinstance(identity, str) and identity, f"{source.name}: identity() is no text."
    rules = source.micro_rules(context(), ["answer"])
    assert all(isinstance(rule, MicroRule) for rule in rules), f"{source.name}: micro_rules() gives other things."
    assert {rule.predictor for rule in rules} <= {"answer"}, f"{source.name}: a rule is for a predictor that is not."


def check_gate(gate: Gate) -> None:
    """A gate gives the same verdict twice, with a reason, and refuses a loss if it looks at validation."""
    assert isinstance(gate, Gate), f"{gate!r} lacks an attribute of Gate: name, validates or judge()."
    work = context(n=30)
    right = work.build({"answer": RuleSet.of((rule, ()) for rule in _useful_rules(work))})
    gain, loss = (Trial(work, *pair, valset=work.valset) for pair in ((work.student, right), (right, work.student)))
    for trial in (gain, loss):
        verdict = gate.judge(trial)
        assert isinstance(verdict, Verdict) and verdict.why, f"{gate.name}: judge() gives no Verdict with a reason."
        assert gate.judge(trial) == verdict, f"{gate.name}: a second look at the same trial gives another verdict."
    refused = not gate.judge(loss).accepted
    assert refused or not gate.validates, f"{gate.name}: it validates, but takes an edit that loses."


def check_proposer(make: Callable[[], Proposer]) -> None:
    """A proposer proposes edits of rules that are there, without changing them."""
    proposer, work, before = make(), context(), RULES.model_dump()
    assert isinstance(proposer.when_settled, bool), f"{make!r}: when_settled is no truth value."
    this_round = Round(1, {"answer": RULES}, Diagnosis(12, 5, 3, False), {"answer": ""})
    proposals = proposer.propose(work, Teacher(), this_round)
    assert before == RULES.model_dump(), f"{make!r}: it changes the rules."
    for proposal in proposals:
        assert isinstance(proposal, Proposal), f"{make!r}: propose() gives {proposal!r}, which is no Proposal."
        assert proposal.predictor == "answer", f"{make!r}: a proposal is for a predictor without rules."
        assert all(isinstance(edit, Edit) for edit in proposal.edits), f"{make!r}: a proposal holds other than edits."


def check_operation(operation: Operation) -> None:
    """An operation says when to use it, finds fault with too few rules, and leaves every rule an id of its own."""
    Teacher([operation])  # makes it known
    fewest, most = operation.ids
    assert operation.name and operation.usage, f"{operation!r} has no name or no usage for the teacher to read."
    assert most is None or most >= fewest, f"{operation.name}: it cannot name fewer rules than it must."
    new = tuple(f"If the moon is full, look at picture {number}." for number in range(max(operation.texts, 1)))
    names = tuple(rule.id for rule in RULES.rules[:fewest])
    edit = Edit(operation=operation.name, ids=names, text=new[0], texts=new)
    assert edit.fault is None, f"{operation.name}: an edit with {fewest} rules and {len(new)} texts is at fault."
    if fewest:
        assert Edit(operation=operation.name, text=new[0], texts=new).fault, f"{operation.name}: it needs no rules."
    after = RULES.apply([edit])  # raises where two rules have one id
    assert all(isinstance(rule, Rule) for rule in after.rules), f"{operation.name}: it leaves other things than rules."
    untouched = [rule for rule in RULES.rules if rule.id not in names]
    assert all(rule in after.rules for rule in untouched), f"{operation.name}: it changes rules that it does not name."


def check_embedder(given: Embedder, made_by_name: bool = True) -> None:
    """An embedder gives n x d finite numbers, the same for the same texts, and its name makes it again.

    Args:
        given: the embedder.
        made_by_name: whether its entry point is installed.
    """
    name = given.name
    vectors = embed(TEXTS, given)
    assert np.allclose(vectors, embed(TEXTS, given), atol=1e-5), f"{name}: the same texts get other vectors."
    if made_by_name:
        again = embed(TEXTS, embedder(name))
        assert np.allclose(vectors, again, atol=1e-5), f"{name}: embedder({name!r}) makes another embedder."


def check_algorithm(algorithm: Algorithm) -> None:
    """A clustering algorithm gives each point an int, the same for the same seed, and can be searched."""
    import optuna

    assert isinstance(algorithm, Algorithm), f"{algorithm!r} is no pld_dspy.clustering.Algorithm."
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32) + 3 * np.eye(8)[np.arange(40) % 4]
    points = points_of(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), "centre", 0)
    trial = optuna.trial.FixedTrial(algorithm.start(points, 10))
    params = algorithm.suggest(trial, points, 10)
    labels = [np.asarray(algorithm.labels(points, params, 0)) for _ in range(2)]
    assert labels[0].shape == (len(points),), f"{algorithm.name}: it gives labels of the shape {labels[0].shape}."
    assert labels[0].dtype.kind in "iu", f"{algorithm.name}: its labels are no whole numbers."
    assert np.array_equal(labels[0], labels[1]), f"{algorithm.name}: the same seed gives other labels."
    search_clusters(vectors, n_trials=4, algorithms=[algorithm])


def check_measure(measure: Measure) -> None:
    """A measure has a heading, and gives every answer a finite number, also one that could not be read."""
    examples = [dspy.Example(question="Which?", answer=text).with_inputs("question") for text in TEXTS]
    runner = Runner(num_threads=2)
    assert isinstance(measure.heading, str) and measure.heading, f"{measure!r} has no heading."
    with dspy.context(lm=rehearsal_lm()):
        measure.check(examples, runner)
        scores = measure.score(examples, [TEXTS[0], "something else", None], runner).examples
    assert len(scores) == len(examples), f"{measure.heading}: {len(examples)} answers get {len(scores)} scores."
    assert np.isfinite(scores).all(), f"{measure.heading}: a score is no finite number."


def check_student(program: dspy.Module, examples: Sequence[dspy.Example]) -> None:
    """A program has predictors and a metric that scores its labels best, says answers in words, and can be copied.

    Args:
        program: an instance.
        examples: labelled ones, with what the program takes as their inputs.
    """
    name = type(program).__name__
    assert program.named_predictors(), f"{name}: it has no dspy.Predict that could learn rules."
    for example in examples:
        gold = dspy.Prediction(**example.labels())
        score = score_of(metric_of(program), example, gold)
        assert score > 0, f"{name}: its metric gives the right answer of an example {score}."
        assert in_words(program, example, example.labels()), f"{name}: in_words() says nothing about an answer."
    state: Any = program.dump_state()
    assert program.deepcopy().dump_state() == state, f"{name}: a copy is another program."


def check_optimizer(optimizer: Optimizer, max_lm_calls: int = 2_000) -> None:
    """A compared optimizer compiles a student on the simulator, and leaves the one that it gets as it is."""
    assert isinstance(optimizer, Optimizer), f"{optimizer!r} is no pld_dspy.optimizers.Optimizer."
    work, lm = context(), rehearsal_lm()
    before = work.student.dump_state()
    with tempfile.TemporaryDirectory() as folder, dspy.context(lm=lm):
        data, metric = (list(work.trainset), list(work.valset)), work.metric
        job = Job(work.student, *data, metric, lm, lm, 0, 2, max_lm_calls, Path(folder))
        program = optimizer.compile(job)
        assert isinstance(program, dspy.Module), f"{optimizer.title}: it returns {program!r}, which is no program."
        program(**work.valset[0].inputs())
    assert work.student.dump_state() == before, f"{optimizer.title}: it changes the student that it gets."


def _useful_rules(work: Compile) -> list[str]:
    """Rules that the simulated teacher writes from the examples."""
    from pld_dspy.extraction import Examples

    rules = Examples().micro_rules(work, ["answer"])
    work.keep(Version({"answer": RuleSet.of((rule.rule, ()) for rule in rules)}))
    return [rule.rule for rule in rules]
