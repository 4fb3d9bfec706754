"""Model calls side by side: DSPy's executor, with usage by role, budgets, progress, and a stop for dead models."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import dspy
from dspy.utils.exceptions import (
    AdapterParseError,
    LMAuthError,
    LMBillingError,
    LMConfigurationError,
    LMError,
    LMNotConfiguredError,
    LMTransportError,
    LMUnsupportedFeatureError,
    LMUnsupportedModelError,
)
from dspy.utils.parallelizer import ParallelExecutor

from pld_dspy.errors import PLDError, brief
from pld_dspy.progress import progress_bar
from pld_dspy.run.usage import Meter, Usage

# After one of these (DSPy has already retried), the next call would fail as well.
HOPELESS = (
    LMAuthError,
    LMBillingError,
    LMConfigurationError,
    LMNotConfiguredError,
    LMTransportError,
    LMUnsupportedFeatureError,
    LMUnsupportedModelError,
)

T = TypeVar("T")
R = TypeVar("R")


class Outcome(NamedTuple, Generic[R]):
    """What came of one item: a value, or the reason why there is none."""

    value: R | None
    error: str | None = None


NOT_RUN = "not run: the budget is spent"


class BudgetSpent(Exception):
    """The cap on calls or cost is reached, and what was asked for cannot be finished."""


class Runner:
    """Runs a function on many items, a thread for each of `num_threads`, and counts calls by role.

    Args:
        num_threads: calls side by side; None for DSPy's setting.
        max_lm_calls: after so many calls no further item is started; None for no cap.
        max_cost: the same, in US dollars.
        display_progress: show progress bars on standard error.
        earlier: what the run had used before, by role and model.
        ended: whether it had ended then; if not, what it had used counts towards the caps.
    """

    def __init__(
        self,
        num_threads: int | None = None,
        max_lm_calls: int | None = None,
        max_cost: float | None = None,
        display_progress: bool = False,
        earlier: Mapping[str, Mapping[str, Usage]] | None = None,
        ended: bool = False,
    ) -> None:
        self._meters = {role: Meter(usage) for role, usage in (earlier or {}).items()}
        self._calls_before = self._calls() if ended else 0
        self._cost_before = self._cost() if ended else 0.0
        self._num_threads = num_threads
        self._max_lm_calls = max_lm_calls
        self._max_cost = max_cost
        self.display_progress = display_progress
        self.spent = False  # whether the budget has kept an item from being run

    def map(self, function: Callable[[T], R], items: Sequence[T], description: str) -> list[Outcome[R]]:
        """Apply `function` to all items.

        A model error or an unreadable reply on an item becomes that item's `error`; other items go on. Items that the
        budget does not allow have the error NOT_RUN.

        Raises:
            PLDError: a model does not answer (its connection, key or name is wrong), or more items than
                `dspy.settings.max_errors` failed for another reason than an unreadable reply.
            Exception: whatever else `function` raises.
        """
        if not items:
            return []
        fatal: list[Exception] = []
        failures = 0
        lock = threading.Lock()

        def attempt(item: T) -> Outcome[R]:
            nonlocal failures
            if fatal or self._over_budget():
                return Outcome(None, NOT_RUN)
            try:
                return Outcome(function(item))
            except AdapterParseError as error:
                return Outcome(None, f"unreadable reply: {brief(error.lm_response)}")
            except LMError as error:
                with lock:
                    failures += 1
                    if isinstance(error, HOPELESS) or failures > dspy.settings.max_errors:
                        fatal.append(PLDError(f"The model {error.model} does not answer: {brief(error)}"))
                return Outcome(None, brief(error))
            except Exception as error:
                fatal.append(error)
                return Outcome(None, brief(error))
            finally:
                progress.advance(bar)

        with progress_bar(self.display_progress) as progress:
            bar = progress.add_task(description, total=len(items))
            # timeout=0: DSPy would otherwise ask a slow model the same thing a second time.
            executor = ParallelExecutor(num_threads=self._num_threads, disable_progress_bar=True, timeout=0)
            with dspy.context(disable_history=True):  # which would hold the pictures of thousands of prompts in memory
                outcomes = executor.execute(attempt, items)
        if fatal:
            raise fatal[0]
        return outcomes

    def meter(self, role: str) -> Meter:
        """What counts a role's calls, as in `dspy.context(usage_tracker=runner.meter("teacher"))`."""
        return self._meters.setdefault(role, Meter())

    def usage(self) -> dict[str, dict[str, Usage]]:
        """What the models have used so far, by role and model."""
        return {role: meter.by_model() for role, meter in dict(self._meters).items()}

    def share_used(self) -> float:
        """The share of the budget that is used, of whichever cap is nearer; 0 without caps."""
        shares = [0.0]
        if self._max_lm_calls is not None:
            shares.append((self._calls() - self._calls_before) / self._max_lm_calls)
        if self._max_cost is not None:
            shares.append((self._cost() - self._cost_before) / self._max_cost if self._max_cost else 1.0)
        return max(shares)

    def _calls(self) -> int:
        return sum(usage.calls for models in self.usage().values() for usage in models.values())

    def _cost(self) -> float:
        return sum(meter.total().cost_usd or 0.0 for meter in list(self._meters.values()))

    def _over_budget(self) -> bool:
        self.spent |= self.share_used() >= 1
        return self.spent
