"""How conflicts are resolved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pld_dspy.errors import PLDError
from pld_dspy.resolution.gates import Gate, gate_of
from pld_dspy.resolution.proposers import PROPOSERS, ProposerFactory, proposer_name, proposers_of


@dataclass(frozen=True)
class Resolution:
    """How conflicts are resolved.

    Args:
        gate: decides about edits: "positive" takes one whose paired gain on the validation set is above zero,
            "significant" asks for a p-value below 0.05 besides, "off" takes every edit unseen and returns the last
            version, as the paper's loop does: for comparison. Or a `Gate`.
        proposers: who proposes edits in each round, in this order: names, or functions that make a `Proposer`.
        diagnosed: training examples that are answered in each round to find failures.
        failures_per_call: failures that the teacher is shown at once.
        successes_per_call: successes that it is shown beside them.
        ask_rule: ask the student in diagnosis, by a further call, which rule it followed.
        prune: measure every rule's use at the end, and take out harmful and idle ones.

    Raises:
        PLDError: there is no such gate or proposer, or a number is too small.
    """

    gate: str | Gate = "positive"
    proposers: Sequence[str | ProposerFactory] = tuple(PROPOSERS)
    diagnosed: int = 40
    failures_per_call: int = 5
    successes_per_call: int = 3
    ask_rule: bool = False
    prune: bool = True

    def __post_init__(self) -> None:
        gate_of(self.gate)
        proposers_of(self.proposers)
        for name, least in (("diagnosed", 1), ("failures_per_call", 1), ("successes_per_call", 0)):
            if getattr(self, name) < least:
                raise PLDError(f"{name} is at least {least}, not {getattr(self, name)!r}.")

    def identity(self) -> dict[str, Any]:
        """What run.json says of it."""
        names = [proposer_name(proposer) for proposer in self.proposers]
        return {**self.__dict__, "gate": gate_of(self.gate).name, "proposers": names}
