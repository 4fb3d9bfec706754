"""Every model call of an optimizer, on record: who was asked, in which phase, with what, and how long it took."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.utils.exceptions import LMError
from dspy.utils.usage_tracker import UsageTracker
from pydantic import BaseModel

from optimizers.prefixes import Prefixes, flattened
from optimizers.results import PerQuestion, RoleUsage
from pld_dspy.run import append_line, read_lines
from pld_dspy.runner import HOPELESS
from pld_dspy.usage import price

Role = Literal["teacher", "student"]
Phase = Literal["compile", "test"]


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
    error: str | None = None  # after all retries


class Recorder:
    """Counts what one optimizer asks with one seed, and ends it at its cap.

    What was on record when it was made counts as soon as it is asked for again and DSPy's cache answers, so that a unit
    that was killed and starts over comes to the same counts as one that was not.

    Args:
        path: calls.jsonl.
        max_lm_calls: that may be made in the phase "compile"; a request for several answers counts as so many.
        on_call: called after every call, from many threads.
    """

    def __init__(self, path: Path, max_lm_calls: int, on_call: Callable[[int], None] = lambda count: None) -> None:
        self.phase: Phase = "compile"
        self.hopeless: LMError | None = None  # a model that does not answer at all
        self._prefixes = Prefixes()
        self._path = path
        self._max_lm_calls = max_lm_calls
        self._on_call = on_call
        self._lock = threading.Lock()
        self._earlier = {call.request: call for call in read_lines(path, Call)}
        self._calls: list[Call] = []
        self._answers = {"compile": 0, "test": 0}  # that were asked for, by phase

    def __deepcopy__(self, memo: dict[int, Any]) -> "Recorder":
        return self  # programs are copied with their models

    @property
    def capped(self) -> bool:
        """Whether the cap is reached."""
        return self._answers["compile"] >= self._max_lm_calls

    def refuse(self, model: str) -> None:
        """Raise instead of asking.

        Raises:
            CapReached: the optimizer has had its calls.
            LMError: a model has turned out not to answer at all.
        """
        if self.hopeless is not None:
            raise self.hopeless
        if self.phase == "compile" and self.capped:
            raise CapReached(f"The cap of {self._max_lm_calls:,} calls is reached.", model=model)

    def add(self, call: Call) -> None:
        """Put a call on record that reached a model."""
        with self._lock:
            append_line(self._path, call)
            self._count(call)

    def answered_by_cache(self, request: str) -> None:
        """Count a request that reached a model before an interruption."""
        with self._lock:
            if earlier := self._earlier.pop(request, None):
                self._count(earlier)

    def saw(self, predictor: Sequence[str], text: str, images: int) -> None:
        """Look at a prompt of the phase "test", also one that a cache answers."""
        if self.phase == "test":
            with self._lock:
                self._prefixes.add(predictor, text, images)

    def failed(self, error: LMError) -> None:
        """Note a failure; after one that leaves no hope, no model is asked any more."""
        if isinstance(error, HOPELESS):
            self.hopeless = error

    def usage(self, phase: Phase) -> dict[str, RoleUsage]:
        """Calls, tokens, cost and seconds by role."""
        found: dict[str, RoleUsage] = {}
        for role in ("teacher", "student"):
            calls = [call for call in self._calls if (call.phase, call.role) == (phase, role)]
            tokens = [sum(call.prompt_tokens for call in calls), sum(call.completion_tokens for call in calls)]
            found[role] = RoleUsage(
                calls=sum(call.answers for call in calls),
                prompt_tokens=tokens[0],
                completion_tokens=tokens[1],
                cost_usd=price(calls[0].model, *tokens) if calls else 0.0,
                seconds=round(sum(call.seconds for call in calls), 3),
                failed=sum(call.error is not None for call in calls),
            )
        return found

    def per_question(self, n: int) -> PerQuestion:
        """What answering a question takes, from the calls of the phase "test" on `n` questions."""
        used = self.usage("test")["student"]
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

    def _count(self, call: Call) -> None:
        self._calls.append(call)
        self._answers[call.phase] += call.answers
        self._on_call(sum(self._answers.values()))


class _Recorded(dspy.LM):
    """A language model whose calls are on record; made by `recorded`."""

    recorder: Recorder
    role: Role

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        with self._recording(prompt, messages, kwargs):
            return super().__call__(prompt, messages=messages, **kwargs)

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        with self._recording(prompt, messages, kwargs):
            return await super().acall(prompt, messages=messages, **kwargs)

    @contextmanager
    def _recording(self, prompt: Any, messages: Any, kwargs: dict[str, Any]) -> Iterator[None]:
        recorder, tracker = self.recorder, _Tracker(dspy.settings.usage_tracker)
        recorder.refuse(self.model)
        text, images = flattened(prompt, messages)
        recorder.saw(_caller(), text, images)
        asked = {**self.kwargs, **kwargs}
        told = {name: value for name, value in asked.items() if not name.startswith("api_")}
        request = hashlib.sha256(json.dumps([self.role, text, told], default=str, sort_keys=True).encode()).hexdigest()
        error, start = None, time.monotonic()
        try:
            with dspy.context(usage_tracker=tracker):
                yield
        except LMError as failure:
            error = failure
            recorder.failed(failure)
            raise
        finally:
            if tracker.entries or error is not None:
                recorder.add(
                    Call(
                        request=request[:24],
                        phase=recorder.phase,
                        role=self.role,
                        model=self.model,
                        answers=asked.get("n") or 1,
                        prompt_tokens=tracker.total("prompt_tokens"),
                        completion_tokens=tracker.total("completion_tokens"),
                        images=images,
                        seconds=round(time.monotonic() - start, 4),
                        error=type(error).__name__ if error else None,
                    )
                )
            else:
                recorder.answered_by_cache(request[:24])


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


def recorded(lm: dspy.LM, role: Role, recorder: Recorder) -> dspy.LM:
    """A copy of a language model whose calls, and those of its copies, are on record.

    Unlike a usage tracker it tells roles apart that share a model, and sees calls of optimizers that track by
    themselves.
    """
    copy = lm.copy()
    copy.__class__ = type(f"Recorded{type(lm).__name__}", (_Recorded, type(lm)), {})
    copy.recorder, copy.role = recorder, role  # type: ignore[attr-defined]
    return copy


def _caller() -> Sequence[str]:
    """The output fields of the predictor that asks, by which a program's predictors are told apart."""
    caller = dspy.settings.caller_predict
    return tuple(caller.signature.output_fields) if caller is not None else ()
