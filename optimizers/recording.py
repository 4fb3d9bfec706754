"""Every model call of an optimizer, on record: who was asked, in which phase, with what, and how long it took."""

import hashlib
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.utils.exceptions import LMConfigurationError, LMError, LMInvalidRequestError, LMUnsupportedFeatureError
from dspy.utils.usage_tracker import UsageTracker
from pydantic import BaseModel

from pld_dspy.optimizers.prefixes import Prefixes, flattened
from pld_dspy.optimizers.results import PerQuestion, RoleUsage
from pld_dspy.run.folder import append_line, read_lines
from pld_dspy.run.runner import HOPELESS
from pld_dspy.run.usage import price

Role = Literal["teacher", "student"]
Phase = Literal["compile", "test"]

OWN_FAULT = (LMConfigurationError, LMUnsupportedFeatureError)  # of an optimizer, which asks for what a model lacks
IN_JSON = "Outputs will be a JSON object"  # as DSPy's JSONAdapter writes it


class CapReached(LMError):
    """The optimizer has had all the calls that it may have."""


class Call(BaseModel):
    """A line of calls.jsonl: a request that reached a model."""

    request: str  # hash of what was asked
    phase: Phase
    role: Role
    model: str
    answers: int  # that were asked for at once
    prompt_tokens: int
    completion_tokens: int
    images: int
    seconds: float
    at: float  # seconds by the clock since the unit began, those of interrupted runs included
    error: str | None = None  # after all retries


class Recorder:
    """Counts what one optimizer asks with one seed, and ends it at its cap.

    What was on record when it was made counts as soon as it is asked for again and DSPy's cache answers, so that a unit
    that was killed and starts over comes to the same counts as one that was not.

    Args:
        path: calls.jsonl.
        max_lm_calls: that may be made in the phase "compile"; a request for several answers counts as so many.
        on_call: called with the phase and the number of calls after every call, from many threads.
    """

    def __init__(
        self, path: Path, max_lm_calls: int, on_call: Callable[[Phase, int], None] = lambda phase, count: None
    ) -> None:
        self.fatal: LMError | OSError | None = None  # why nothing more can be asked
        self.passing: LMError | None = None  # a failure while testing that may not be there another time
        self.first_messages: dict[tuple[str, ...], Sequence[dict[str, Any]]] = {}  # of the test, by predictor
        self._path = path
        self._max_lm_calls = max_lm_calls
        self._on_call = on_call
        self._lock = threading.Lock()
        self._prefixes = Prefixes()
        self._earlier: dict[str, list[Call]] = defaultdict(list)  # by request
        calls = read_lines(path, Call)
        self._start = time.monotonic() - max((call.at for call in calls if call.phase == "compile"), default=0.0)
        for call in calls:
            if call.error is None:  # failures are not cached, and come again
                self._earlier[call.request].append(call)
        self._first: dict[str, Call] = {}
        self._calls: list[Call] = []
        self._asked = 0  # answers in the phase "compile", with those under way
        self._compiled = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "Recorder":
        return self  # programs are copied with their models

    @property
    def capped(self) -> bool:
        """Whether the cap is reached."""
        return self._asked >= self._max_lm_calls

    @property
    def elapsed(self) -> float:
        """Seconds by the clock since the unit began, those of an interrupted run up to its last call included."""
        return time.monotonic() - self._start

    def end_compiling(self) -> None:
        """Refuse further calls of the phase "compile", as of threads that an optimizer has left behind."""
        self._compiled = True

    def begin(self, phase: Phase, model: str, answers: int) -> None:
        """Let a call be made.

        Raises:
            CapReached: the optimizer has had its calls.
            LMError, OSError: it has turned out before that nothing can be asked or kept.
        """
        with self._lock:
            if self.fatal is not None:
                raise self.fatal
            if phase == "compile":
                if self._compiled or self.capped:
                    raise CapReached(f"The cap of {self._max_lm_calls:,} calls is reached.", model=model)
                self._asked += answers

    def end(self, call: Call, error: LMError | None, from_cache: bool) -> None:
        """Put a call on record that was let be made.

        Args:
            call: what it came to.
            error: its failure, after all retries.
            from_cache: whether DSPy's cache answered, so that no model was asked.
        """
        with self._lock:
            if error is not None:
                self._failed(call, error)
            if not from_cache:
                try:
                    append_line(self._path, call)
                except OSError as problem:
                    self.fatal = problem
                    raise
                self._count(call)
            elif earlier := self._earlier[call.request]:
                self._count(earlier.pop(0))
            else:
                self._asked -= call.answers if call.phase == "compile" else 0
                if call.phase == "test" and call.request in self._first:  # a question that stands twice in the data
                    self._count(self._first[call.request].model_copy(update={"phase": "test"}))

    def saw(self, predictor: tuple[str, ...], text: str, messages: Sequence[dict[str, Any]]) -> None:
        """Look at a prompt of the phase "test", also one that the cache answers."""
        with self._lock:
            self._prefixes.add(predictor, text)
            self.first_messages.setdefault(predictor, messages)

    def usage(self, phase: Phase) -> dict[str, RoleUsage]:
        """Calls, tokens, cost and seconds by role."""
        return {role: self._usage(phase, role) for role in ("teacher", "student")}

    def per_question(self, n: int) -> PerQuestion:
        """What answering a question takes, from the calls of the phase "test" on `n` questions."""
        used = self._usage("test", "student")
        images = sum(call.images for call in self._calls if call.phase == "test")
        return PerQuestion(
            calls=used.calls / n,
            prompt_tokens=used.prompt_tokens / n,
            completion_tokens=used.completion_tokens / n,
            images=images / n,
            seconds=used.seconds / n,
            cost_usd=None if used.cost_usd is None else used.cost_usd / n,
            cacheable=self._prefixes.share(),
        )

    def _usage(self, phase: Phase, role: Role) -> RoleUsage:
        calls = [call for call in self._calls if (call.phase, call.role) == (phase, role)]
        costs = [price(call.model, call.prompt_tokens, call.completion_tokens, call.answers) for call in calls]
        return RoleUsage(
            calls=sum(call.answers for call in calls),
            prompt_tokens=sum(call.prompt_tokens for call in calls),
            completion_tokens=sum(call.completion_tokens for call in calls),
            cost_usd=None if None in costs else math.fsum(cost or 0.0 for cost in costs),
            seconds=round(sum(call.seconds for call in calls), 3),
            failed=sum(call.error is not None for call in calls),
        )

    def _count(self, call: Call) -> None:
        self._calls.append(call)
        self._first.setdefault(call.request, call)
        self._on_call(call.phase, len(self._calls))

    def _failed(self, call: Call, error: LMError) -> None:
        if isinstance(error, HOPELESS) and not isinstance(error, OWN_FAULT):
            self.fatal = error
        elif call.phase == "test" and not isinstance(error, (LMInvalidRequestError, *OWN_FAULT)):
            self.passing = error


class _Recorded(dspy.LM):
    """A language model whose calls are on record; made by `recorded`."""

    recorder: Recorder
    role: Role
    phase: Phase

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        with self._recording(prompt, messages, kwargs):
            return super().__call__(prompt, messages=messages, **kwargs)

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        with self._recording(prompt, messages, kwargs):
            return await super().acall(prompt, messages=messages, **kwargs)

    @contextmanager
    def _recording(self, prompt: Any, messages: Any, kwargs: dict[str, Any]) -> Iterator[None]:
        asked = {name: value for name, value in {**self.kwargs, **kwargs}.items() if not name.startswith("api_")}
        self.recorder.begin(self.phase, self.model, answers := asked.get("n") or 1)
        tracker, error, start = _Tracker(dspy.settings.usage_tracker), None, time.monotonic()
        text, images = flattened(prompt, messages)
        if self.phase == "test":
            self.recorder.saw(_caller(text), text, messages or ())
        try:
            with dspy.context(usage_tracker=tracker):
                yield
        except LMError as failure:
            error = failure
            raise
        finally:
            call = Call(
                request=_hash([self.role, text, asked]),
                phase=self.phase,
                role=self.role,
                model=self.model,
                answers=answers,
                prompt_tokens=tracker.total("prompt_tokens"),
                completion_tokens=tracker.total("completion_tokens"),
                images=images,
                seconds=round(time.monotonic() - start, 4),
                at=round(self.recorder.elapsed, 1),
                error=type(error).__name__ if error else None,
            )
            self.recorder.end(call, error, from_cache=not tracker.entries and error is None)


class _Tracker(UsageTracker):
    """Keeps what one call used, and hands it on."""

    def __init__(self, outer: UsageTracker | None) -> None:
        super().__init__()
        self.entries: list[dict[str, Any]] = []
        self._outer = outer

    def add_usage(self, lm: str, usage_entry: dict[str, Any]) -> None:
        self.entries.append(usage_entry)
        if self._outer is not None:
            self._outer.add_usage(lm, usage_entry)

    def total(self, what: str) -> int:
        return sum(entry.get(what) or 0 for entry in self.entries)


def recorded(lm: dspy.LM, role: Role, phase: Phase, recorder: Recorder) -> dspy.LM:
    """A copy of a language model whose calls, and those of its copies, are on record.

    Unlike a usage tracker it tells roles apart that share a model, and sees calls of optimizers that track by
    themselves.
    """
    copy = lm.copy()
    copy.__class__ = type(f"Recorded{type(lm).__name__}", (_Recorded, type(lm)), {})
    copy.recorder, copy.role, copy.phase = recorder, role, phase  # type: ignore[attr-defined]
    return copy


def _caller(text: str) -> tuple[str, ...]:
    """What tells a program's predictors apart, and a predictor's prompts from those of DSPy's second try in JSON."""
    callers = [module for module in dspy.settings.caller_modules or () if isinstance(module, dspy.Predict)]
    signature = callers[-1].signature if callers else None
    return (*(described(signature) if signature is not None else ()), *([IN_JSON] if IN_JSON in text else []))


def described(signature: type[dspy.Signature]) -> tuple[str, ...]:
    """What tells a predictor from the others of its program."""
    return signature.instructions, *signature.fields


def _hash(asked: Any) -> str:
    return hashlib.sha256(json.dumps(asked, default=str, sort_keys=True).encode()).hexdigest()[:24]
