"""What can and cannot be said about a difference between two optimizers."""

from collections.abc import Mapping, Sequence

import numpy as np

from pld_dspy.optimizers.registry import BASELINE, METHOD
from pld_dspy.optimizers.results import PairedTest, Row
from pld_dspy.statistics import bootstrap_interval, compare, holm, pareto_front

Scores = Mapping[int, Sequence[float]]  # by seed: a score for each test question, in the same order


def with_tests(rows: Sequence[Row]) -> list[Row]:
    """Rows with the interval of their score over the questions, their tests and their place on the Pareto front."""
    vs_baseline, vs_method, front = paired_tests(BASELINE, rows), paired_tests(METHOD, rows), on_front(rows)
    complete = []
    for row in rows:
        interval = bootstrap_interval(np.mean(list(row.scores.values()), axis=0)) if row.scores else None
        low, high = interval or (None, None)
        tests = {"vs_baseline": vs_baseline.get(row.optimizer), "vs_method": vs_method.get(row.optimizer)}
        complete.append(row.model_copy(update={"low": low, "high": high, "on_front": row.optimizer in front, **tests}))
    return complete


def paired_tests(reference: str, rows: Sequence[Row]) -> dict[str, PairedTest]:
    """The tests of all other optimizers against one, by optimizer, corrected together by Holm's method.

    Those that have no seed in common with the reference are left out.
    """
    scores = {row.optimizer: row.scores for row in rows}
    before = scores.pop(reference, {})
    tests = {name: paired_test(before, after) for name, after in scores.items() if before.keys() & after.keys()}
    p_holm = dict(zip(tests, holm([test.p_value for test in tests.values()]), strict=True))
    return {name: test.model_copy(update={"p_holm": p_holm[name]}) for name, test in tests.items()}


def paired_test(before: Scores, after: Scores) -> PairedTest:
    """Compare two optimizers on the same questions; the p-value is not yet corrected.

    With one seed in common, right and wrong answers are compared by McNemar's exact test; with several, and for graded
    scores, each question's means over those seeds are, by the sign-flip test that generalises it. So what it says goes
    for other questions, not for other seeds.
    """
    common = sorted(before.keys() & after.keys())
    first, second = (np.mean([scores[seed] for seed in common], axis=0) for scores in (before, after))
    test = compare(first.tolist(), second.tolist())
    low, high = bootstrap_interval(second - first) or (test.gain, test.gain)
    counts, p = {"better": test.fixed, "worse": test.broken}, test.p_value
    return PairedTest(difference=test.gain, low=low, high=high, **counts, p_value=p, p_holm=p)


def on_front(rows: Sequence[Row]) -> set[str]:
    """The optimizers that no other one equals in score and input tokens a question and beats in one of them.

    Those that lack seeds are left out, since the others' scores are of other seeds.
    """
    seeds = max((len(row.results) for row in rows), default=0)
    complete = [row for row in rows if row.results and len(row.results) == seeds]
    points = [(row.score or 0.0, -(row.mean("question", "prompt_tokens") or 0.0)) for row in complete]
    return {row.optimizer for row, on in zip(complete, pareto_front(points), strict=True) if on}
