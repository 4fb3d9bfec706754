"""Reading a benchmark's folder: every path stays inside it, every fault names its file."""

import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson

from pld_dspy.errors import PLDError

T = TypeVar("T")


def read_json(path: Path, layout: str) -> dict[str, Any]:
    """Read a JSON object; PLDError if it is missing or none, with the `layout` that the folder should have."""
    try:
        content = orjson.loads(path.read_bytes())  # takes half of json's memory, and ScienceQA's file is large
    except OSError as error:
        raise PLDError(f"{path.parent} is not in the {layout} layout: {path.name} cannot be read.") from error
    except ValueError as error:
        raise PLDError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise PLDError(f"{path} is not in the {layout} layout: it should be a JSON object.")
    return content


def inside(folder: Path, *parts: str, example: str) -> Path:
    """The path below `folder` that an example's names lead to, be it there or not; PLDError if it leads outside."""
    path = folder.joinpath(*parts)
    climbs = any(".." in Path(part).parts or "\0" in part for part in parts)
    try:
        outside = climbs or not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        outside = True
    if outside:
        raise PLDError(f"Example {example} names the file {'/'.join(parts)!r}, which is outside {folder}.")
    return path


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, made if it is not there; of several processes that make it at once, the first one's stays."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            make(part)
            part.rename(folder)
        except BaseException:
            shutil.rmtree(part)
            if not folder.exists():  # else another process was faster
                raise
    return folder


def choose(items: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """A random sample of at most `limit` items in their own order, or all of them; equal seeds choose equally."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i] for i in sorted(random.Random(seed).sample(range(len(items)), limit))]
