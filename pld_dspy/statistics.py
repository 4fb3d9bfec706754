"""What can and cannot be said about scores: paired tests, intervals, correction for many tests, Pareto fronts."""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

SIGNIFICANT = 0.05
FLIPS = 9_999  # of the signs in the permutation test of graded scores
RESAMPLES = 10_000  # of the bootstrap


class Comparison(BaseModel):
    """Two programs on the same examples."""

    model_config = ConfigDict(frozen=True)

    n: int
    before: float  # mean score
    after: float
    fixed: int  # examples that score higher after
    broken: int  # and lower
    p_value: float  # of no difference

    @property
    def gain(self) -> float:
        """Mean difference of the paired scores, without the noise of its rounding."""
        return round(self.after - self.before, 12)

    def __str__(self) -> str:
        return f"{self.fixed} better, {self.broken} worse of {self.n}, p = {self.p_value:.2g}"


def compare(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Comparison:
    """Compare paired scores.

    Right and wrong answers are compared by McNemar's exact test (McNemar 1947, Psychometrika 12: the binomial test of
    the examples that changed), graded scores by its generalisation, the test that flips the signs of the differences
    (Fisher's; exact for few examples, else by resampling).

    Args:
        before: n scores; NaN where there is none.
        after: n scores of the same examples. Those that have none on either side are left out of both.
        seed: of the resampling.

    Returns:
        Means, counts and the two-sided p-value; 1 where nothing changed.

    >>> compare([0, 0, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1]).p_value
    0.0625
    """
    from scipy import stats

    pairs = np.array([before, after], dtype=float)
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    differences = pairs[1] - pairs[0]
    differences[np.abs(differences) < 1e-9] = 0.0
    fixed, broken = int((differences > 0).sum()), int((differences < 0).sum())
    changed = differences[differences != 0]
    if changed.size < 2:
        p_value = 1.0  # one change may as well have been in the other direction
    elif set(np.abs(changed)) == {1.0}:
        p_value = float(stats.binomtest(fixed, fixed + broken).pvalue)
    else:
        rng = np.random.default_rng(seed)
        test = stats.permutation_test(
            (changed,), np.mean, permutation_type="samples", n_resamples=FLIPS, vectorized=True, rng=rng
        )
        p_value = float(test.pvalue)
    means = [math.fsum(scores) / max(len(scores), 1) for scores in pairs]
    return Comparison(n=len(differences), before=means[0], after=means[1], fixed=fixed, broken=broken, p_value=p_value)


def common_means(scores: Sequence[Sequence[float]]) -> list[float]:
    """The mean of each of m rows of n scores, over the columns in which none is NaN; if there are such columns.

    >>> common_means([[1, 0, 1], [1, math.nan, 0]])
    [1.0, 0.5]
    """
    rows = np.array(scores, dtype=float)
    common = ~np.isnan(rows).any(axis=0)
    kept = [row[common if common.any() else ~np.isnan(row)] for row in rows]
    return [math.fsum(row) / len(row) for row in kept]


def percent(fraction: float | None, sign: str = "%") -> str:
    """A fraction as a person reads it; a score that is none, of a metric from 0 to 100, as it is.

    >>> percent(0.625), percent(62.5)
    ('62.5%', '62.5')
    """
    if fraction is None:
        return "–"
    return f"{100 * fraction:.1f}{sign}" if abs(fraction) <= 1 else f"{fraction:.1f}"


def bootstrap_interval(column: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """Percentile bootstrap of the mean (Efron & Tibshirani 1993, chapter 13): its 95% interval.

    Args:
        column: n numbers.

    Returns:
        Low and high end; None where all numbers are equal, of which resampling can say nothing.
    """
    values = np.asarray(column, dtype=float)
    if not len(values) or values.min() == values.max():
        return None
    from scipy.stats import bootstrap

    rng = np.random.default_rng(0)
    result = bootstrap((values,), np.mean, n_resamples=RESAMPLES, batch=500, method="percentile", rng=rng)
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for several tests (Holm 1979, Scandinavian Journal of Statistics 6).

    Args:
        p_values: of m tests.

    Returns:
        Corrected ones in the same order: each is compared with the level as if it stood alone.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]


def pareto_front(points: Sequence[Sequence[float]]) -> list[bool]:
    """For each point whether no other is as good in every measure and better in one; higher is better.

    >>> pareto_front([(0.8, -100), (0.8, -120), (0.7, -50)])
    [True, False, True]
    """
    return [
        not any(tuple(other) != tuple(point) and all(np.greater_equal(other, point)) for other in points)
        for point in points
    ]
