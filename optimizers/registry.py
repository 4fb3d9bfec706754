"""The compared optimizers: what one gets, what one is, and how they are found."""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import dspy

from pld_dspy.errors import PLDError, brief
from pld_dspy.plugins import installed, loaded
from pld_dspy.student.evaluation import Metric

log = logging.getLogger(__name__)

BASELINE, METHOD = "uncompiled", "pld"  # those that all others are tested against
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # names are folders


class CannotRun(PLDError):
    """An optimizer does not go with this program, these data or this budget; the table says why."""


@dataclass(frozen=True)
class Job:
    """One compile: what is the same for all optimizers, so that the comparison is fair."""

    student: dspy.Module  # the program as it comes; not to be changed
    trainset: list[dspy.Example]  # labelled, to learn from, in an order that belongs to the seed
    valset: list[dspy.Example]  # labelled, to choose by
    metric: Metric  # `metric(example, prediction, trace=None)` → a fraction
    student_lm: dspy.LM  # answers; it is also DSPy's model while the optimizer runs
    teacher_lm: dspy.LM  # writes instructions, rules or demonstrations
    seed: int  # of every draw that the optimizer lets be seeded
    num_threads: int  # model calls side by side
    max_lm_calls: int  # that both models may have together; further ones fail with `recording.CapReached`
    folder: Path  # for files of the optimizer's own


@dataclass(frozen=True)
class Optimizer:
    """One row of the comparison, registered under the entry-point group `pld_dspy.optimizers`."""

    title: str  # its name in tables
    settings: str  # what it is run with and where that is recommended, in a sentence or two
    compile: Callable[[Job], dspy.Module]  # makes the program that is tested; raises `CannotRun` where it cannot


def own_signatures(program: dspy.Module) -> dspy.Module:
    """Give a program signatures of its own, and return it.

    They are classes, which copies share: an optimizer that writes into one, as `dspy.InferRules` does in DSPy 3.4.1,
    would change every program of the process.
    """
    for predictor in program.predictors():
        predictor.signature = predictor.signature.with_instructions(predictor.signature.instructions)
    return program


def ordered(names: Iterable[str]) -> list[str]:
    """Names in the table's order: the baseline first, PLD's last."""
    return sorted(names, key=lambda name: (name != BASELINE, name.startswith(METHOD), name))


def find_optimizers(names: Sequence[str] | None = None) -> dict[str, Optimizer]:
    """The named optimizers in the table's order, or else all that are installed, without those that cannot be loaded.

    Raises PLDError if a named one is not installed, cannot be loaded, or is named twice.
    """
    entries = installed("optimizers")
    there = ", ".join(ordered(entries)) or "none"
    if names is not None:
        if unknown := [name for name in names if name not in entries]:
            raise PLDError(f"There is no optimizer {unknown[0]!r}; installed are: {there}.")
        if len(set(names)) < len(names):
            raise PLDError(f"An optimizer is named twice: {', '.join(names)}.")
        if not names:
            raise PLDError(f"No optimizer is named; installed are: {there}.")
        return {name: _optimizer(entries[name]) for name in ordered(names)}
    optimizers = {}
    for name in ordered(entries):
        try:
            optimizers[name] = _optimizer(entries[name])
        except PLDError as error:
            log.warning("%s It is left out.", error)
    return optimizers


def _optimizer(entry: EntryPoint) -> Optimizer:
    if not _NAME.fullmatch(entry.name):
        raise PLDError(f"The optimizer {entry.name!r} is not named in small letters, digits, - and _.")
    optimizer = loaded(entry, "optimizer")
    if not isinstance(optimizer, Optimizer):
        raise PLDError(f"The optimizer {entry.name} is no optimizers.Optimizer, but {brief(repr(optimizer))}.")
    return optimizer
