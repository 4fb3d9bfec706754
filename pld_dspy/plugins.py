"""What other packages add: one helper for all entry-point groups."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from pld_dspy.errors import PLDError, brief

T = TypeVar("T")


def installed(group: str) -> dict[str, EntryPoint]:
    """The entry points of the group `pld_dspy.<group>`, by name; nothing is loaded.

    >>> sorted(installed("programs"))
    ['scienceqa', 'spiqa']
    """
    return {entry.name: entry for entry in entry_points(group=f"pld_dspy.{group}")}


def loaded(entry: EntryPoint, what: str) -> object:
    """What an entry point names.

    Raises:
        PLDError: it cannot be loaded; `what` says what it is, as in "gate".
    """
    try:
        return entry.load()
    except Exception as error:  # whatever its module does when it is imported
        raise PLDError(f"The {what} {entry.name} cannot be loaded: {brief(error)}.") from error


def named(group: str, name: str, builtin: Mapping[str, T], what: str) -> T:
    """A thing by its name: one of this package's, or what an installed package registers in the group.

    Raises:
        PLDError: there is none of this name, or it cannot be loaded; `what` says what it is, as in "gate".
    """
    if name in builtin:
        return builtin[name]
    others = installed(group)
    if name not in others:
        there = ", ".join([*builtin, *sorted(others)]) or "none"
        raise PLDError(f"There is no {what} {name!r}; there are: {there}.")
    return loaded(others[name], what)  # type: ignore[return-value]  # what others register is checked where it is used
