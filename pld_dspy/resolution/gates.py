"""The gate of conflict resolution: whether an edit of the rules is taken, on evidence from paired comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import dspy

from pld_dspy.rules.steps import Verdict
from pld_dspy.statistics import SIGNIFICANT, Comparison, compare
from pld_dspy.student.evaluation import Evaluation, Evaluator

Strictness = Literal["positive", "significant", "off"]
MINIBATCH = 20


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
                why = f"loses on a minibatch: {part}"
                return Verdict(accepted=False, why=why, mended=mended, comparison=part)
        found = self._compare(current, candidate, self.valset, "Validating an edit")
        accepted = found.gain > 0 or (equal_is_enough and found.gain == 0)
        why = f"{'gains' if found.gain > 0 else 'loses' if found.gain < 0 else 'changes nothing'}: {found}"
        if accepted and not equal_is_enough and self.strictness == "significant" and found.p_value >= SIGNIFICANT:
            accepted, why = False, f"gains too little to be sure: {found}"
        return Verdict(accepted=accepted, why=why, mended=mended, comparison=found, whole=True)

    def _compare(
        self, current: dspy.Module, candidate: dspy.Module, examples: Sequence[dspy.Example], purpose: str
    ) -> Comparison:
        before = self.evaluate(current, examples, "Scoring the rules as they stand")
        after = self.evaluate(candidate, examples, purpose)
        return compare(_scores(before), _scores(after), self.seed)


def _scores(evaluation: Evaluation) -> list[float]:
    return [item.score for item in evaluation.items]
