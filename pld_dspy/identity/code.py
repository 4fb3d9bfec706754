"""Code: what it reads from around it, and whether it is the user's own."""

import dis
import functools
import importlib
import sys
import sysconfig
import types
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any, NamedTuple

_LIBRARIES = {"site-packages", "dist-packages"}


_WRITES = {"append", "add", "extend", "update"}  # methods that return nothing


class Used(NamedTuple):
    """What a piece of code takes from around it."""

    names: frozenset[str]  # of globals and attributes
    globals: frozenset[str]
    kept: frozenset[str]  # globals and variables of a closure that it only writes, as a record of its calls
    imports: frozenset[tuple[str, int]]  # modules, each with the level of a relative import


@functools.lru_cache(4096)
def used_by(code: types.CodeType) -> Used:
    """What code, with the functions in it, takes from around it."""
    names: set[str] = set()
    around: set[str] = set()
    read: set[str] = set()
    written: set[str] = set()
    imports: set[tuple[str, int]] = set()
    for part in _with_inner(code):
        names |= {*part.co_names}
        steps = [step for step in dis.get_instructions(part) if step.opname != "EXTENDED_ARG"]
        for place, step in enumerate(steps):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"):
                (written if _only_written(steps[place : place + 4]) else read).add(step.argval)
                around |= {step.argval} if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") else set()
            elif step.opname == "IMPORT_NAME":
                imports.add((step.argval, steps[place - 2].argval))
    return Used(frozenset(names), frozenset(around), frozenset(written - read), frozenset(imports))


def _only_written(steps: Sequence[dis.Instruction]) -> bool:
    """Whether a variable is loaded to be written to: `seen.append(x)`, `seen[x] = y`, `n += 1` or `n[x] += 1`."""
    then = [step.opname for step in steps[1:]]
    if then[0] in ("LOAD_METHOD", "LOAD_ATTR"):
        return steps[1].argval in _WRITES
    counted = then[1:2] == ["BINARY_OP"] and then[2] in ("STORE_GLOBAL", "STORE_DEREF")
    return (
        then[1:2] == ["STORE_SUBSCR"]
        or then[1:3] == ["COPY", "COPY"]
        or (counted and steps[3].argval == steps[0].argval)
    )


def _with_inner(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _with_inner(const)


def held_in(cell: types.CellType) -> Any:
    """A closure's value; NotImplemented for none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return NotImplemented


def named_in(module: str, name: str) -> Any:
    """What stands under a dotted name in a module; None for nothing."""
    return functools.reduce(lambda at, part: getattr(at, part, None), name.split("."), sys.modules.get(module))


@functools.cache
def is_own(module: str) -> bool:
    """Whether a module is code of the user's, neither Python's nor installed."""
    top = module.partition(".")[0]
    try:
        spec = getattr(sys.modules.get(top), "__spec__", None) or find_spec(top)
    except (ImportError, ValueError):
        spec = None
    places = [getattr(spec, "origin", None), *(getattr(spec, "submodule_search_locations", None) or ())]
    paths = [Path(place) for place in places if place and place not in ("built-in", "frozen")]
    if not paths:
        return top not in sys.stdlib_module_names
    return not any(_LIBRARIES & {*path.parts} or path.is_relative_to(sysconfig.get_path("stdlib")) for path in paths)


@functools.cache
def version_of(module: str) -> str:
    """The version of what a module belongs to; "" for what comes with Python, or is installed under another name."""
    try:
        return version(module.partition(".")[0])
    except PackageNotFoundError:
        return ""


def imported(name: str, level: int, package: str | None) -> Any:
    """A module that code imports when it runs; its name where it is no code of the user's."""
    try:
        whole = resolve_name("." * level + name, package)
        return importlib.import_module(whole) if is_own(whole) else whole
    except Exception:  # the code may be ready for that
        return name
