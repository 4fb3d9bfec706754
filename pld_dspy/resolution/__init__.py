"""Phase 3: the rules are repaired, edit by edit, and a gate decides about each."""

from pld_dspy.resolution.gates import Gate, Trial, gate_of
from pld_dspy.resolution.loop import resolve
from pld_dspy.resolution.proposers import Proposer, Round
from pld_dspy.resolution.settings import Resolution

__all__ = ["Gate", "Proposer", "Resolution", "Round", "Trial", "gate_of", "resolve"]
