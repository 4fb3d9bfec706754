"""The comparison of optimizers: who takes part, how it is run, and what it finds out."""

from optimizers.registry import CannotRun, Job, Optimizer, find_optimizers

__all__ = ["CannotRun", "Job", "Optimizer", "find_optimizers"]
