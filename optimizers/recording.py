"""Every model call of an optimizer, on record: who was asked, in which phase, with what, and how long it took."""

import hashlib
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.utils.exceptions import LMConfigurationError, LMError, LMUnsupportedFeatureError
from pydantic import BaseModel

from pld_dspy.errors import PLDError, brief
from pld_dspy.optimizers.prompts import Messages, PredictorKey, asking_predictor, flattened, shared
from pld_dspy.optimizers.results import PerQuestion, RoleUsage
from pld_dspy.run import Usage, append_line, price, read_lines
from pld_dspy.run.runner import HOPELESS
from pld_dspy.run.usage import Meter

Role = Literal["teacher", "student"]
ROLES: tuple[Role, ...] = ("teacher", "student")
Phase = Literal["compile", "test"]
OnCall = Callable[[Phase, int], None]  # called with the phase and the number of calls after every call

OWN_FAULT = (LMConfigurationError, LMUnsupportedFeatureError)  # of an optimizer, which asks for what a model lacks


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
    that was killed and starts over comes to the same counts as one that was not. `path` is that of calls.jsonl, and the
    cap `max_lm_calls` is of the phase "compile", where a request for several answers counts as so many.
    """

    def __init__(self, path: Path, max_lm_calls: int, on_call: OnCall = lambda phase, count: None) -> None:
        self.fatal: LMError | OSError | None = None  # why nothing more can be asked
        self.first_messages: dict[PredictorKey, Messages] = {}  # of the test
        self._path, self._max_lm_calls, self._on_call = path, max_lm_calls, on_call
        self._lock = threading.Lock()
        self._prompts: dict[PredictorKey, list[str]] = defaultdict(list)  # of the test
        self._earlier: dict[str, list[Call]] = defaultdict(list)  # by request
        calls = read_lines(path, Call)
        self._start = time.monotonic() - max((call.at for call in calls if call.phase == "compile"), default=0.0)
        for call in calls:
            if call.error is None:  # failures are not cached, and come again
                self._earlier[call.request].append(call)
        self._first: dict[str, Call] = {}  # by request
        self._calls: list[Call] = []
        self._begun = 0  # answers in the phase "compile", with those under way
        self._compiled = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "Recorder":
        return self  # programs are copied with their models

    @property
    def capped(self) -> bool:
        """Whether the cap is reached."""
        return self._begun >= self._max_lm_calls

    @property
    def elapsed(self) -> float:
        """Seconds by the clock since the unit began, those of an interrupted run up to its last call included."""
        return time.monotonic() - self._start

    def end_compiling(self) -> None:
        """Refuse further calls of the phase "compile", as of threads that an optimizer has left behind."""
        self._compiled = True

    def raise_fatal(self) -> None:
        """Raise why nothing more can be asked (a PLDError) or kept (an OSError), if so."""
        if isinstance(self.fatal, LMError):
            raise PLDError(f"The model {self.fatal.model} does not answer: {brief(self.fatal)}")
        if self.fatal is not None:
            raise self.fatal

    @contextmanager
    def recording(self, lm: "RecordedLM", prompt: Any, messages: Any, kwargs: dict[str, Any]) -> Iterator[None]:
        """Let a model be asked, and put the call on record.

        Raises CapReached once the optimizer has had its calls, and what has shown before that nothing can be asked or
        kept.
        """
        settings = {name: value for name, value in {**lm.kwargs, **kwargs}.items() if not name.startswith("api_")}
        answers = settings.get("n") or 1
        self._begin(lm, answers)
        text, images = flattened(prompt, messages)
        content = json.dumps([lm.role, text, settings], default=str, sort_keys=True)
        if lm.phase == "test":
            predictor = asking_predictor(text)
            with self._lock:
                self._prompts[predictor].append(text)
                self.first_messages.setdefault(predictor, messages or ())
        meter, error, start = Meter(parent=dspy.settings.usage_tracker), None, time.monotonic()
        try:
            with dspy.context(usage_tracker=meter):
                yield
        except LMError as failure:
            error = failure
            raise
        finally:
            used = meter.by_model().get(lm.model, Usage())
            call = Call(
                request=hashlib.sha256(content.encode()).hexdigest()[:24],
                phase=lm.phase,
                role=lm.role,
                model=lm.model,
                answers=answers,
                prompt_tokens=used.prompt_tokens,
                completion_tokens=used.completion_tokens,
                images=images,
                seconds=round(time.monotonic() - start, 4),
                at=round(self.elapsed, 1),
                error=type(error).__name__ if error else None,
            )
            self._end(call, error, from_cache=not used.calls and error is None)

    def usage(self, phase: Phase, role: Role) -> RoleUsage:
        """Calls, tokens, cost and seconds."""
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

    def per_question(self, n: int) -> PerQuestion:
        """What answering a question takes, from the calls of the phase "test" on `n` questions."""
        used = self.usage("test", "student")
        totals: dict[str, float | None] = used.model_dump(exclude={"failed"})
        totals["images"] = sum(call.images for call in self._calls if call.phase == "test")
        means = {name: None if total is None else total / n for name, total in totals.items()}
        return PerQuestion.model_validate({**means, "cacheable": shared(self._prompts)})

    def _begin(self, lm: "RecordedLM", answers: int) -> None:
        with self._lock:
            if self.fatal is not None:
                raise self.fatal
            if lm.phase == "compile":
                if self._compiled or self.capped:
                    raise CapReached(f"The cap of {self._max_lm_calls:,} calls is reached.", model=lm.model)
                self._begun += answers

    def _end(self, call: Call, error: LMError | None, from_cache: bool) -> None:
        with self._lock:
            if isinstance(error, HOPELESS) and not isinstance(error, OWN_FAULT):
                self.fatal = error
            if not from_cache:
                try:
                    append_line(self._path, call)
                except OSError as problem:
                    self.fatal = problem
                    raise
                self._count(call)
            elif earlier := self._earlier[call.request]:
                self._count(earlier.pop(0))
            elif call.phase == "compile":
                self._begun -= call.answers
            elif call.request in self._first:  # a question that stands twice in the data
                self._count(self._first[call.request].model_copy(update={"phase": "test"}))

    def _count(self, call: Call) -> None:
        self._calls.append(call)
        self._first.setdefault(call.request, call)
        self._on_call(call.phase, len(self._calls))


class RecordedLM(dspy.LM):
    """A language model whose calls, and those of its copies, are on record.

    Unlike a usage tracker it tells roles apart that share a model, and sees calls of optimizers that track by
    themselves, and those that DSPy's cache answers. It records a `dspy.LM`, and no subclass, which may ask in its own
    way.
    """

    def __init__(self, lm: dspy.LM, role: Role, phase: Phase, recorder: Recorder) -> None:
        if type(lm) not in (dspy.LM, RecordedLM):
            kind = type(lm).__name__
            raise PLDError(f"The {role}'s class is {kind}: give a dspy.LM, if need be with an engine of your own.")
        self.__dict__.update(lm.copy().__dict__)  # its settings, its engine and its connections
        self.recorder, self.role, self.phase = recorder, role, phase

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        with self.recorder.recording(self, prompt, messages, kwargs):
            return super().__call__(prompt, messages=messages, **kwargs)

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        with self.recorder.recording(self, prompt, messages, kwargs):
            return await super().acall(prompt, messages=messages, **kwargs)
