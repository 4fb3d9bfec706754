"""The comparison of optimizers: who takes part, how it is run, and what it finds out."""

from optimizers.comparison import compare
from optimizers.registry import CannotRun, Job, Optimizer, find_optimizers
from optimizers.report import write_report

__all__ = ["CannotRun", "Job", "Optimizer", "compare", "find_optimizers", "write_report"]
