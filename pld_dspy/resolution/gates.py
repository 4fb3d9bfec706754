"""The gate of conflict resolution: whether an edit of the rules is taken, on evidence from paired comparisons."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import dspy

from pld_dspy.context import Context
from pld_dspy.errors import PLDError
from pld_dspy.plugins import named
from pld_dspy.rules import Verdict
from pld_dspy.statistics import SIGNIFICANT, Comparison, compare

MINIBATCH = 20  # validation examples that are tried before the others


class Trial(NamedTuple):
    """An edit on trial, and the way to evidence about it.

    Attributes:
        context: scores programs, each example once.
        current: the program as it stands.
        candidate: the program with the edit.
        valset: the examples that decide; the first `MINIBATCH` have about the shares of the whole.
        failures: training examples that the edit was written for.
        shortens: whether an equal score is enough, as for an edit that makes the rules shorter.
        measured: whether most scores are known, so that a first part would save nothing.
    """

    context: Context
    current: dspy.Module
    candidate: dspy.Module
    valset: Sequence[dspy.Example]
    failures: Sequence[dspy.Example] = ()
    shortens: bool = False
    measured: bool = False

    def compare(self, examples: Sequence[dspy.Example], purpose: str) -> Comparison:
        """Both programs on the same examples; raises `BudgetSpent` if the budget ends first."""
        before = self.context.score(self.current, examples, "Scoring the rules as they stand")
        after = self.context.score(self.candidate, examples, purpose)
        return compare(before.scores, after.scores, self.context.seed)


@runtime_checkable
class Gate(Protocol):
    """Decides about one edit at a time. An outsider's is passed as `Resolution(gate=...)`, or registered under the
    entry-point group `pld_dspy.gates` and named with `--gate`; `pld_dspy.testing.check_gate` tries it.

    Attributes:
        name: for run.json and the command line.
        validates: whether it looks at validation scores. Where it does not, the last version of the rules is returned
            whatever its score, and nothing is shortened or pruned.
    """

    name: str
    validates: bool

    def judge(self, trial: Trial) -> Verdict:
        """Take the edit or not, and say why."""


class Positive:
    """Takes an edit whose paired gain on the validation set is above zero, the cheapest evidence first.

    An edit that mends none of the failures it was written for is refused at once; one that loses on a part of the
    validation set is refused there; the whole set decides on the others.
    """

    name, validates = "positive", True

    def enough(self, comparison: Comparison) -> bool:
        """Whether a comparison on the whole validation set speaks for the edit."""
        return comparison.gain > 0

    def judge(self, trial: Trial) -> Verdict:
        """Take the edit or not, and say why."""
        mended = None
        if trial.failures:
            own = trial.compare(trial.failures, "Trying an edit on its failures")
            mended = own.fixed
            if not mended:
                failures = f"the {own.n} failures" if own.n > 1 else "the failure"
                return Verdict(accepted=False, why=f"mends none of {failures} it was written for", mended=0)
        if len(trial.valset) > MINIBATCH and not trial.measured:
            part = trial.compare(trial.valset[:MINIBATCH], "Trying an edit on a minibatch")
            if part.gain < 0:
                return Verdict(accepted=False, why=f"loses on a minibatch: {part}", mended=mended, comparison=part)
        whole = trial.compare(trial.valset, "Validating an edit")
        accepted = self.enough(whole) or (trial.shortens and whole.gain >= 0)
        change = "gains" if whole.gain > 0 else "loses" if whole.gain < 0 else "changes nothing"
        if whole.gain > 0 and not accepted:
            change = "gains too little to be sure"
        return Verdict(accepted=accepted, why=f"{change}: {whole}", mended=mended, comparison=whole, whole=True)


class Significant(Positive):
    """Asks for a p-value below 0.05 besides."""

    name = "significant"

    def enough(self, comparison: Comparison) -> bool:
        """Whether the gain is significant."""
        return comparison.gain > 0 and comparison.p_value < SIGNIFICANT


class Off:
    """Takes every edit unseen, as the paper's loop does: for comparison."""

    name, validates = "off", False

    def judge(self, trial: Trial) -> Verdict:
        """Take it."""
        return Verdict(accepted=True, why="taken unseen: the gate is off")


GATES: Mapping[str, Callable[[], Gate]] = {gate.name: gate for gate in (Positive, Significant, Off)}


def gate_of(gate: str | Gate) -> Gate:
    """A gate by its name, or as it is.

    Raises:
        PLDError: there is none of that name, or it is no gate.

    >>> gate_of("significant").name
    'significant'
    """
    if isinstance(gate, str):
        return named("gates", gate, GATES, "gate")()
    if not isinstance(gate, Gate):
        raise PLDError(f"The gate is a pld_dspy.resolution.Gate or the name of one, not {gate!r}.")
    return gate
