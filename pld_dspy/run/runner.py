"""Model calls side by side: DSPy's executor, with usage by role, budgets, progress, and a record of what failed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

import dspy
from dspy.utils import exceptions as dspy_errors
from dspy.utils.parallelizer import ParallelExecutor
from pydantic import BaseModel

from pld_dspy.errors import ExampleError, OfNoUse, PLDError, brief, reason
from pld_dspy.progress import progress_bar
from pld_dspy.run.usage import Meter, Usage

# After one of these (DSPy has already retried), the next call would fail as well.
HOPELESS = (
    dspy_errors.LMAuthError, dspy_errors.LMBillingError, dspy_errors.LMTransportError,
    dspy_errors.LMConfigurationError, dspy_errors.LMNotConfiguredError,
    dspy_errors.LMUnsupportedFeatureError, dspy_errors.LMUnsupportedModelError,
)  # fmt: skip
NOT_RUN = "not run: the budget is spent"
FEW = 5  # replies, one of which must be of use
ADVICE = "check its name, address and key (`pld doctor` asks each model once), or start again later."
TURNS = 3  # that an item without a reply has
MAX_FAILED = 0.1  # share of a step's items that may be left without a reply

T = TypeVar("T")
R = TypeVar("R")


class Outcome(NamedTuple, Generic[R]):
    """What came of one item: a value, or the reason why there is none."""

    value: R | None
    error: str | None = None
    failed: bool = False  # whether there was no reply: the error then says nothing about what was asked


class Failure(BaseModel):
    """An item that came to nothing, also when it was asked again."""

    role: str  # whose model was asked
    purpose: str  # of the step
    kind: Literal["no reply", "no use"]  # of the reply
    item: str  # an example's id; "" where the step asks about something else
    reason: str


class Failures(BaseModel):
    """Failures of one kind in one step."""

    role: str
    purpose: str
    kind: Literal["no reply", "no use"]
    n: int
    ids: list[str]  # of the first examples
    reason: str  # of the first


class BudgetSpent(Exception):
    """The cap on calls or cost is reached, and what was asked for cannot be finished."""


@dataclass(eq=False)
class Runner:
    """Runs a function on many items, a thread for each of `num_threads`, and counts calls by role.

    Args:
        num_threads: calls side by side; None for DSPy's setting.
        max_lm_calls: after so many calls no further item is started; None for no cap.
        max_cost: the same, in US dollars.
        display_progress: show progress bars on standard error.
        max_failed: share of a step's items that may be left without a reply; one always may.
        earlier: what the run had used before, by role and model.
        ended: whether it had ended then; if not, what it had used counts towards the caps.
    """

    num_threads: int | None = None
    max_lm_calls: int | None = None
    max_cost: float | None = None
    display_progress: bool = False
    max_failed: float = MAX_FAILED
    earlier: InitVar[Mapping[str, Mapping[str, Usage]] | None] = None
    ended: InitVar[bool] = False
    spent: bool = field(default=False, init=False)  # whether the budget has kept an item from being run

    def __post_init__(self, earlier: Mapping[str, Mapping[str, Usage]] | None, ended: bool) -> None:
        self._meters = {role: Meter(usage) for role, usage in (earlier or {}).items()}
        self._calls_before, self._cost_before = (self._calls(), self._cost()) if ended else (0, 0.0)
        self.failures: list[Failure] = []  # what has come to nothing
        self.replies: Counter[tuple[str, bool]] = Counter()  # by role, and whether they were of use

    def map(
        self,
        role: str,
        function: Callable[[T], R],
        items: Sequence[T],
        purpose: str,
        id_of: Callable[[T], str] = lambda item: "",
    ) -> list[Outcome[R]]:
        """Apply `function` to all items; its calls are the role's.

        An item that gets no reply (from a busy server, in time) is asked again after the others, twice at most. Where
        it has none then, that is its `error`, as is an unreadable reply or what `function` raises; other items go on.
        Items that the budget does not allow have the error NOT_RUN.

        Args:
            role: whose model is asked.
            function: called from many threads.
            items: what it is called with.
            purpose: of the step, for the progress bar and the failures.
            id_of: what the failures call an item.

        Raises:
            PLDError: a model does not answer (its connection, key or name is wrong), or not often enough; none of its
                first replies is of use; `function` raises it, or something else on more than
                `dspy.settings.max_errors` items.
        """
        if not items:
            return []
        outcomes: list[Outcome[R]] = [Outcome(None, failed=True)] * len(items)
        with progress_bar(self.display_progress) as progress:
            bar = progress.add_task(purpose, total=len(items))
            for turn in range(TURNS):
                pending = [place for place, outcome in enumerate(outcomes) if outcome.failed]
                if not pending:
                    break
                step = _Turn(self, role, function, len(items), turn, lambda: progress.advance(bar))
                found = step.run([items[place] for place in pending])
                for place, outcome in zip(pending, found, strict=True):
                    outcomes[place] = outcome
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome.error not in (None, NOT_RUN):
                kind: Literal["no reply", "no use"] = "no reply" if outcome.failed else "no use"
                failure = Failure(role=role, purpose=purpose, kind=kind, item=id_of(item), reason=outcome.error)
                self.failures.append(failure)
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
        if self.max_lm_calls is not None:
            shares.append((self._calls() - self._calls_before) / self.max_lm_calls)
        if self.max_cost is not None:
            shares.append((self._cost() - self._cost_before) / self.max_cost if self.max_cost else 1.0)
        return max(shares)

    def _calls(self) -> int:
        return sum(usage.calls for models in self.usage().values() for usage in models.values())

    def _cost(self) -> float:
        return sum(meter.total().cost_usd or 0.0 for meter in list(self._meters.values()))


@dataclass(eq=False)
class _Turn(Generic[T, R]):
    """One turn of items of a step that has `n`; what would be wrong with all of them ends it."""

    runner: Runner
    role: str
    function: Callable[[T], R]
    n: int
    turn: int  # from 0 on
    advance: Callable[[], None]
    fatal: list[Exception] = field(default_factory=list)
    failed: list[dspy_errors.LMError] = field(default_factory=list)
    broken: int = 0
    useless: int = 0

    def run(self, items: Sequence[T]) -> list[Outcome[R]]:
        """The outcomes; raises what ends the step, which in the last turn is also that too many got no reply."""
        # timeout=0: DSPy would otherwise ask a slow model the same thing a second time.
        executor = ParallelExecutor(num_threads=self.runner.num_threads, disable_progress_bar=True, timeout=0)
        # DSPy's history would hold the pictures of thousands of prompts in memory.
        with dspy.context(disable_history=True, usage_tracker=self.runner.meter(self.role)):
            outcomes = executor.execute(self._attempt, items)
        if self.fatal:
            raise self.fatal[0]
        if self.turn == TURNS - 1 and self._too_many_failed:
            error, requests = self.failed[0], f"{len(self.failed)} of {self.n} requests"
            raise PLDError(
                f"The model {error.model} left {requests} without a reply, also when they were sent again: "
                f"{_said(error)}. What it has answered is kept where there is a run folder; {ADVICE}"
            )
        return outcomes

    def _confirmed(self, error: dspy_errors.LMError) -> bool:
        """Whether it is more than a slip of a server that is well: a second one, or nobody has ever been there."""
        unreached = isinstance(error, dspy_errors.LMTransportError) and not self.runner.replies[self.role, True]
        return unreached or sum(isinstance(earlier, HOPELESS) for earlier in self.failed) > 1

    @property
    def _too_many_failed(self) -> bool:
        return len(self.failed) > max(1, self.runner.max_failed * self.n)

    def _attempt(self, item: T) -> Outcome[R]:
        self.runner.spent |= self.runner.share_used() >= 1
        if self.fatal or self.runner.spent:
            return Outcome(None, NOT_RUN)
        if self._too_many_failed:
            return Outcome(None, "put off, since others got no reply", failed=True)
        outcome = self._outcome(item)
        if outcome.failed:
            return outcome
        self.advance()
        replies = self.runner.replies
        replies[self.role, outcome.error is None] += 1
        self.useless += outcome.error is not None
        useless = replies[self.role, False]
        if not replies[self.role, True] and (useless >= FEW or 1 < self.useless == self.n):
            first = f"Not one of the first {useless} replies of the {self.role}'s model is of use"
            self.fatal.append(OfNoUse(f"{first}: {(outcome.error or '').rstrip('.')}."))
        return outcome

    def _outcome(self, item: T) -> Outcome[R]:
        try:
            return Outcome(self.function(item))
        except dspy_errors.AdapterParseError as error:
            return Outcome(None, f"unreadable reply: {brief(error.lm_response)}")
        except dspy_errors.ContextWindowExceededError as error:
            return Outcome(None, brief(error))
        except dspy_errors.LMError as error:
            self.failed.append(error)
            if isinstance(error, HOPELESS) and (self.turn or self._confirmed(error)):
                self.fatal.append(
                    PLDError(f"The model {error.model or self.role} does not answer: {_said(error)}; {ADVICE}")
                )
            return Outcome(None, _said(error), failed=True)
        except Exception as error:
            self.broken += 1
            problem = str(error) if isinstance(error, PLDError) else f"{type(error).__name__}: {reason(error)}"
            if isinstance(error, PLDError) and not isinstance(error, ExampleError):
                self.fatal.append(error)
            elif self.broken > dspy.settings.max_errors:
                several = OfNoUse(f"{self.broken} of {self.n} examples failed, the last with {problem}")
                several.__cause__ = error
                self.fatal.append(several)
            return Outcome(None, problem)


def _said(error: dspy_errors.LMError) -> str:
    """What a model or its server says, without DSPy's list of what may be done."""
    said = brief(str(error).partition("To fix:")[0].strip().rstrip("."))
    return f"{said} (HTTP {error.status})" if error.status else said


def grouped(failures: Sequence[Failure]) -> list[Failures]:
    """Failures by role, step and kind, in their order."""
    groups: dict[tuple[str, str, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.role, failure.purpose, failure.kind), []).append(failure)
    return [
        Failures(
            **group[0].model_dump(exclude={"item"}), n=len(group), ids=[one.item for one in group if one.item][:10]
        )
        for group in groups.values()
    ]
