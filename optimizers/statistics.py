"""What can and cannot be said about a difference between two optimizers."""

from collections.abc import Mapping, Sequence

import numpy as np

from pld_dspy.optimizers.averages import per_question
from pld_dspy.optimizers.results import PairedTest, Row
from pld_dspy.statistics import bootstrap_interval, compare, holm
from pld_dspy.statistics import pareto_front as on_front

Scores = Mapping[int, Sequence[float]]  # by seed: a score for each test question, in the same order


def paired_test(reference: Scores, scores: Scores) -> PairedTest | None:
    """Compare two optimizers on the same questions.

    With one seed in common, right and wrong answers are compared by McNemar's exact test; with several, and for graded
    scores, each question's means over those seeds are, by the sign-flip test that generalises it. So what it speaks
    of is other questions, not other seeds.

    Args:
        reference: the one compared with.
        scores: the row's own.

    Returns:
        The test, its p-value not yet corrected; None where they have no seed in common.
    """
    common = sorted(reference.keys() & scores.keys())
    if not common:
        return None
    before, after = (np.mean([of[seed] for seed in common], axis=0) for of in (reference, scores))
    found = compare(before.tolist(), after.tolist())
    low, high = bootstrap_interval(after - before) or (found.gain, found.gain)
    return PairedTest(
        difference=found.gain,
        low=low,
        high=high,
        better=found.fixed,
        worse=found.broken,
        p_value=found.p_value,
        p_holm=found.p_value,
    )


def corrected(tests: Mapping[str, PairedTest]) -> dict[str, PairedTest]:
    """The tests against one reference with `p_holm` set, by the names of the rows."""
    p_values = holm([test.p_value for test in tests.values()])
    return {
        name: test.model_copy(update={"p_holm": p}) for (name, test), p in zip(tests.items(), p_values, strict=True)
    }


def interval(scores: Scores) -> tuple[float, float] | None:
    """The 95% bootstrap interval of the mean score, over the questions, of their means over the seeds."""
    return bootstrap_interval(np.mean(list(scores.values()), axis=0))


def pareto_front(rows: Sequence[Row]) -> set[str]:
    """The optimizers that no other one equals in score and input tokens a question and beats in one of them.

    Those that lack seeds are left out, since the others' scores are of other seeds.
    """
    seeds = max((len(row.results) for row in rows), default=0)
    points = {
        row.optimizer: (row.score or 0.0, -question.prompt_tokens)
        for row in rows
        if (question := per_question(row)) and len(row.results) == seeds
    }
    return {name for name, inside in zip(points, on_front(list(points.values())), strict=True) if inside}
