"""The rehearsal: a generated sample and simulated models, to run and cost a compile offline. Never evidence."""

from pld_dspy.rehearsal.engine import RehearsalEngine, rehearsal_lm

__all__ = ["RehearsalEngine", "rehearsal_lm"]
