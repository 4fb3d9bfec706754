"""What each predictor of a program with several got and gave, on training examples that the metric passed."""

from typing import Any, NamedTuple

import dspy

from pld_dspy.context import Context
from pld_dspy.examples import example_id
from pld_dspy.student import PASSED, answer, score_of


class Turn(NamedTuple):
    """One predictor's part in answering an example."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]


def passed_traces(context: Context) -> dict[str, dict[str, Turn]]:
    """Let the teacher's model answer the training examples and keep what the predictors did where it is right.

    As in BootstrapFewShot (Khattab et al., "DSPy", arXiv:2310.03714), steps that led to a right answer stand in for
    the labels that intermediate steps do not have.

    Returns:
        By example id and predictor name; a predictor that was called more than once has its last turn here.
    """
    program = context.student.deepcopy()
    for predictor in program.predictors():
        predictor.lm = None
    names = {id(predictor): name for name, predictor in program.named_predictors()}

    def run(example: dspy.Example) -> dict[str, Turn]:
        with dspy.context(trace=[]):
            prediction = answer(program, example)
            trace = list(dspy.settings.trace)
        if score_of(context.metric, example, prediction) < PASSED:
            return {}
        known = [(names[id(part)], inputs, outputs) for part, inputs, outputs in trace if id(part) in names]
        return {name: Turn(dict(inputs), dict(outputs.items())) for name, inputs, outputs in known}

    outcomes = context.ask("teacher", run, context.trainset, "Tracing the teacher's answers", id_of=example_id)
    pairs = zip(context.trainset, outcomes, strict=True)
    return {example_id(example): outcome.value for example, outcome in pairs if outcome.value}
