"""What counts as the same: fingerprints of programs, metrics and data, by which scores and runs are taken up again."""

import logging
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import dspy

from pld_dspy.identity.content import SECRET, Texts, digest, looked_at

log = logging.getLogger(__name__)

__all__ = [
    "SECRET",
    "data_fingerprint",
    "digest",
    "fingerprint",
    "lasting_fingerprint",
    "metric_fingerprint",
    "program_fingerprint",
]

_named: set[int] = set()  # addresses of objects that a warning has named


def fingerprint(value: Any) -> str:
    """A hash of any value's content, with figures as models get them: equal for equal values, in every process."""
    return looked_at([value])[0]


def program_fingerprint(program: dspy.Module, first_seen: Texts | None = None) -> str:
    """A hash of all that makes a program answer as it does, but for the session's model: its signatures,
    demonstrations, settings, own models and code, and the adapter.

    With the same `first_seen`, programs whose code keeps answers in a global or a class stay the same as they work.
    """
    return looked_at([_at_work(program)], first_seen)[0]


def lasting_fingerprint(program: dspy.Module) -> str:
    """`program_fingerprint` for a run folder: where an object has no stable content, which a warning says, no other run
    has the same, and so with data and metrics."""
    return _lasting("program", [_at_work(program)])


def data_fingerprint(examples: Iterable[dspy.Example]) -> str:
    """A hash of all fields of examples, in their order, for a run folder."""
    return _lasting("data", examples)


def metric_fingerprint(metric: Callable[..., Any]) -> str:
    """A metric's name and a hash of all that decides its scores, for a run folder."""
    return f"{getattr(metric, '__qualname__', type(metric).__name__)} {_lasting('metric', [metric])}"


def _at_work(program: dspy.Module) -> list[Any]:
    return [program, dspy.settings.adapter or dspy.ChatAdapter(), dspy.settings.rm]


def _lasting(whose: str, values: Iterable[Any]) -> str:
    found, unseen = looked_at(values)
    if new := [value for value in unseen if id(value) not in _named]:
        _named.update(map(id, new))
        kinds = sorted({f"{type(value).__module__}.{type(value).__qualname__}" for value in new})
        log.warning(
            "The %s holds an object of the type %s that has no stable content: scores of this run will not be taken "
            "over.", whose, " and one of the type ".join(kinds),
        )  # fmt: skip
    return uuid.uuid4().hex[:12] if unseen else found
