"""The compared optimizers: what one gets, what one is, and how they are found."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import dspy

from pld_dspy.errors import PLDError
from pld_dspy.evaluation import Metric

GROUP = "pld_dspy.optimizers"
BASELINE, METHOD = "uncompiled", "pld"  # those that all others are tested against
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # names are folders


class CannotRun(PLDError):
    """An optimizer does not go with this program, these data or this budget; the table says why."""


@dataclass(frozen=True)
class Job:
    """One compile: what is the same for all optimizers, so that the comparison is fair.

    Args:
        student: the program as it comes; not to be changed.
        trainset: labelled examples to learn from, in an order that belongs to the seed.
        valset: labelled examples to choose by.
        metric: `metric(example, prediction, trace=None)` → a fraction.
        student_lm: answers; it is also DSPy's model while the optimizer runs.
        teacher_lm: writes instructions, rules or demonstrations.
        seed: of every draw that the optimizer lets be seeded.
        num_threads: model calls side by side.
        max_lm_calls: calls that both models may have together; further ones fail with `recording.CapReached`.
        folder: for files of the optimizer's own.
    """

    student: dspy.Module
    trainset: Sequence[dspy.Example]
    valset: Sequence[dspy.Example]
    metric: Metric
    student_lm: dspy.LM
    teacher_lm: dspy.LM
    seed: int
    num_threads: int
    max_lm_calls: int
    folder: Path


@dataclass(frozen=True)
class Optimizer:
    """One row of the comparison, registered under the entry-point group `pld_dspy.optimizers`.

    Args:
        title: its name in tables.
        settings: what it is run with and where that is recommended, in a sentence or two.
        compile: makes the program that is tested; raises `CannotRun` where it cannot.
    """

    title: str
    settings: str
    compile: Callable[[Job], dspy.Module]


def find_optimizers(names: Sequence[str] | None = None) -> dict[str, Optimizer]:
    """Optimizers by their entry-point names.

    Args:
        names: those wanted, in this order; None for all that are installed, the baseline first and PLD's last.

    Raises:
        PLDError: one is not installed, cannot be loaded, or is named twice.
    """
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    ordered = sorted(installed, key=lambda name: (name != BASELINE, name.startswith(METHOD), name))
    wanted = ordered if names is None else list(names)
    if unknown := [name for name in wanted if name not in installed]:
        raise PLDError(f"There is no optimizer {unknown[0]!r}; installed are: {', '.join(ordered) or 'none'}.")
    if len(set(wanted)) < len(wanted):
        raise PLDError(f"An optimizer is named twice: {', '.join(wanted)}.")
    if names is not None and not wanted:
        raise PLDError(f"No optimizer is named; installed are: {', '.join(ordered)}.")
    found = {}
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise PLDError(f"The optimizer {name!r} is not named in small letters, digits, - and _.")
        try:
            optimizer = installed[name].load()
        except (ImportError, AttributeError) as error:
            raise PLDError(f"The optimizer {name} cannot be loaded: {error}.") from error
        if not isinstance(optimizer, Optimizer):
            raise PLDError(f"The optimizer {name} is no optimizers.Optimizer, but {optimizer!r}.")
        found[name] = optimizer
    return found
