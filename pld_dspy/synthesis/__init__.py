"""Phase 2, second half: one rule for each cluster, and the candidates that validation settles."""

from pld_dspy.synthesis.candidates import Candidate, unite

__all__ = ["Candidate", "unite"]
