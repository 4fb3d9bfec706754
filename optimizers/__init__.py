"""The comparison of optimizers: who takes part, how it is run, and what it finds out."""

from pld_dspy.optimizers.comparison import compare
from pld_dspy.optimizers.registry import CannotRun, Job, Optimizer, find_optimizers
from pld_dspy.optimizers.report import write_report

__all__ = ["CannotRun", "Job", "Optimizer", "compare", "find_optimizers", "write_report"]
