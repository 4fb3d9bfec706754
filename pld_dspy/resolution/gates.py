"""The gate of conflict resolution: whether an edit of the rules is taken, on evidence from paired comparisons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import dspy
import numpy as np
from pydantic import BaseModel, ConfigDict

from pld_dspy.student.evaluation import Evaluation, Evaluator

Strictness = Literal["positive", "significant", "off"]
SIGNIFICANT = 0.05
MINIBATCH = 20
RESAMPLES = 9_999  # of the permutation test of graded scores


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


class Verdict(BaseModel):
    """What the gate found out about a candidate, and what it decided."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    why: str
    mended: int | None = None  # of the failures that the edit was written for; None where it was for none
    comparison: Comparison | None = None  # on the validation set, or on its first part where that was enough
    whole: bool = False  # whether on all of the validation set


def compare(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Comparison:
    """Compare paired scores.

    Right and wrong answers are compared by McNemar's exact test (McNemar 1947, Psychometrika 12: the binomial test of
    the examples that changed), graded scores by its generalisation, the test that flips the signs of the differences
    (Fisher's; exact for few examples, else by resampling).

    Args:
        before: n scores.
        after: n scores of the same examples.
        seed: of the resampling.

    Returns:
        Means, counts and the two-sided p-value; 1 where nothing changed.
    """
    from scipy import stats

    differences = np.subtract(after, before)
    differences[np.abs(differences) < 1e-9] = 0.0
    fixed, broken = int((differences > 0).sum()), int((differences < 0).sum())
    changed = differences[differences != 0]
    if changed.size < 2:
        p_value = 1.0  # one change may as well have been in the other direction
    elif set(np.abs(changed)) == {1.0}:
        p_value = float(stats.binomtest(fixed, fixed + broken).pvalue)
    else:
        test = stats.permutation_test(
            (changed,),
            np.mean,
            permutation_type="samples",
            n_resamples=RESAMPLES,
            vectorized=True,
            rng=np.random.default_rng(seed),
        )
        p_value = float(test.pvalue)
    return Comparison(
        n=len(differences),
        before=math.fsum(before) / len(before),
        after=math.fsum(after) / len(after),
        fixed=fixed,
        broken=broken,
        p_value=p_value,
    )


@dataclass(frozen=True)
class Gate:
    """Judges candidates against the program as it stands, the cheapest evidence first.

    An edit that mends none of the failures it was written for is refused at once; one that loses on a part of the
    validation set is refused there; the whole set decides on the others.

    Args:
        evaluate: scores programs and remembers every score.
        valset: the examples that decide, those of the first part in front.
        strictness: "positive" asks for a gain on the whole validation set, "significant" for one with a p-value below
            0.05 besides; "off" accepts everything unseen.
        minibatch: size of the first part.
        seed: of the resampling.
    """

    evaluate: Evaluator
    valset: Sequence[dspy.Example]
    strictness: Strictness = "positive"
    minibatch: int = MINIBATCH
    seed: int = 0

    def judge(
        self,
        current: dspy.Module,
        candidate: dspy.Module,
        failures: Sequence[dspy.Example] = (),
        equal_is_enough: bool = False,
        at_once: bool = False,
    ) -> Verdict:
        """Decide on a candidate.

        Args:
            current: the program as it stands.
            candidate: the program with the edit.
            failures: training examples that the edit was written for.
            equal_is_enough: accept an equal score too, as for an edit that makes the rules shorter.
            at_once: ask the whole validation set without the first part, as where most scores are known.

        Raises:
            BudgetSpent: the budget ended before the verdict.
        """
        if self.strictness == "off":
            return Verdict(accepted=True, why="taken unseen: the gate is off")
        mended = None
        if failures:
            tried = self._compare(current, candidate, failures, "Trying an edit on its failures")
            mended = tried.fixed
            if not mended:
                what = f"the {tried.n} failures" if tried.n > 1 else "the failure"
                return Verdict(accepted=False, why=f"mends none of {what} it was written for", mended=0)
        first = self.valset[: self.minibatch]
        if 0 < len(first) < len(self.valset) and not at_once:
            part = self._compare(current, candidate, first, "Trying an edit on a minibatch")
            if part.gain < 0:
                why = f"loses on a minibatch: {_counts(part)}"
                return Verdict(accepted=False, why=why, mended=mended, comparison=part)
        found = self._compare(current, candidate, self.valset, "Validating an edit")
        accepted = found.gain > 0 or (equal_is_enough and found.gain == 0)
        why = f"{'gains' if found.gain > 0 else 'loses' if found.gain < 0 else 'changes nothing'}: {_counts(found)}"
        if accepted and not equal_is_enough and self.strictness == "significant" and found.p_value >= SIGNIFICANT:
            accepted, why = False, f"gains too little to be sure: {_counts(found)}"
        return Verdict(accepted=accepted, why=why, mended=mended, comparison=found, whole=True)

    def _compare(
        self, current: dspy.Module, candidate: dspy.Module, examples: Sequence[dspy.Example], purpose: str
    ) -> Comparison:
        before = self.evaluate(current, examples, "Scoring the rules as they stand")
        after = self.evaluate(candidate, examples, purpose)
        return compare(_scores(before), _scores(after), self.seed)


def _scores(evaluation: Evaluation) -> list[float]:
    return [item.score for item in evaluation.items]


def _counts(found: Comparison) -> str:
    return f"{found.fixed} better, {found.broken} worse of {found.n}, p = {found.p_value:.2g}"
