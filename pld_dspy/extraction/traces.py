"""What each predictor of a program with several got and gave, on training examples that the metric passed."""

from typing import Any, NamedTuple

import dspy

from pld_dspy.context import Context
from pld_dspy.examples import example_id
from pld_dspy.student import PASSED, score_of


class Turn(NamedTuple):
    """One predictor's part in answering an example."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]


def passed_traces(context: Context) -> dict[str, dict[str, Turn]]:
    """Let the teacher's model answer the training examples and keep what the predictors did where it is right.

    The idea is BootstrapFewShot's (Khattab et al., "DSPy", arXiv:2310.03714): intermediate steps have no labels, but
    steps that led to a right answer can stand in for them.

    Returns:
        By example id and predictor name; a predictor that was called more than once has its last turn here.
    """
    program = context.student.deepcopy()
    for predictor in program.predictors():
        predictor.lm = None
    names = {id(predictor): name for name, predictor in program.named_predictors()}

    def run(example: dspy.Example) -> dict[str, Turn]:
        with dspy.context(trace=[]):
            prediction = program(**example.inputs())
            trace = list(dspy.settings.trace)
        if score_of(context.metric, example, prediction) < PASSED:
            return {}
        return {
            names[id(predictor)]: Turn(dict(inputs), dict(outputs.items()))
            for predictor, inputs, outputs in trace
            if id(predictor) in names
        }

    outcomes = context.ask("teacher", run, list(context.trainset), "Tracing the teacher's answers")
    return {
        example_id(example): outcome.value
        for example, outcome in zip(context.trainset, outcomes, strict=True)
        if outcome.value
    }
