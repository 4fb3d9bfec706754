"""What each predictor of a program with several got and gave, on training examples that the metric passed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import dspy

from pld_dspy.examples import example_id
from pld_dspy.run.runner import Runner
from pld_dspy.student.evaluation import PASSED, Metric, scored_by


class Turn(NamedTuple):
    """One predictor's part in answering an example."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]


def passed_traces(
    program: dspy.Module, trainset: Sequence[dspy.Example], metric: Metric, lm: dspy.BaseLM, runner: Runner
) -> dict[str, dict[str, Turn]]:
    """Let a model answer the training examples and keep what the predictors did where the answer is right.

    The idea is BootstrapFewShot's (Khattab et al., "DSPy", arXiv:2310.03714): intermediate steps have no labels, but
    steps that led to a right answer can stand in for them.

    Args:
        program: with several predictors; it is not changed.
        trainset: labelled examples.
        metric: decides which answers are right.
        lm: the teacher's model, which is right more often than the student's.
        runner: makes the calls, which count as those of the calling context.

    Returns:
        By example id and predictor name; a predictor that was called more than once has its last turn here.
    """
    teaching = program.deepcopy()
    for predictor in teaching.predictors():
        predictor.lm = None
    names = {id(predictor): name for name, predictor in teaching.named_predictors()}

    def run(example: dspy.Example) -> dict[str, Turn]:
        with dspy.context(lm=lm, trace=[]):
            prediction = teaching(**example.inputs())
            trace = list(dspy.settings.trace)
        if scored_by(metric, example, prediction) < PASSED:
            return {}
        return {
            names[id(predictor)]: Turn(dict(inputs), dict(outputs.items()))
            for predictor, inputs, outputs in trace
            if id(predictor) in names
        }

    outcomes = runner.map(run, list(trainset), "Tracing the teacher's answers")
    return {
        example_id(example): outcome.value for example, outcome in zip(trainset, outcomes, strict=True) if outcome.value
    }
