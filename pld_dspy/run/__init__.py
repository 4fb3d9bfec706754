"""One run: its folder, its calls, what they cost and what it may take."""

from pld_dspy.run.budgets import Budget, Limits
from pld_dspy.run.folder import RunFolder, append_line, read_lines
from pld_dspy.run.runner import HOPELESS, NOT_RUN, BudgetSpent, Outcome, Runner
from pld_dspy.run.usage import Meter, Usage, count_tokens, price

__all__ = [
    "HOPELESS",
    "NOT_RUN",
    "Budget",
    "BudgetSpent",
    "Limits",
    "Meter",
    "Outcome",
    "RunFolder",
    "Runner",
    "Usage",
    "append_line",
    "count_tokens",
    "price",
    "read_lines",
]
