"""One run: its folder, its calls, what they cost and what it may take."""

from pld_dspy.run.budgets import Budget, Limits
from pld_dspy.run.folder import RunFolder, append_line, read_lines
from pld_dspy.run.runner import (
    FEW,
    HOPELESS,
    MAX_FAILED,
    NOT_RUN,
    BudgetSpent,
    Failure,
    Failures,
    Outcome,
    Runner,
    grouped,
)
from pld_dspy.run.usage import Meter, Usage, count_tokens, price

__all__ = [
    "FEW", "HOPELESS", "MAX_FAILED", "NOT_RUN", "Budget", "BudgetSpent", "Failure", "Failures", "Limits", "Meter",
    "Outcome", "RunFolder", "Runner", "Usage", "append_line", "count_tokens", "grouped", "price", "read_lines",
]  # fmt: skip
