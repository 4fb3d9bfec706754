"""Reading a benchmark's folder: every path stays inside it, every fault names its file."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import dspy

from pld_dspy.errors import PLDError

Modality = Literal["image", "caption", "text"]
T = TypeVar("T")


def read_json(path: Path, layout: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        PLDError: the file is missing, is not JSON, or is not an object; `layout` names what the folder should be.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PLDError(f"{path.parent} is not in the {layout} layout: {path.name} cannot be read.") from error
    except ValueError as error:
        raise PLDError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise PLDError(f"{path} is not in the {layout} layout: it should be a JSON object.")
    return content


def read_image(folder: Path, *parts: str, example: str) -> dspy.Image:
    """Read a figure of an example from a path below `folder`.

    Raises:
        PLDError: the path has a `..` or leads outside the folder, or there is no picture.
    """
    path = folder.joinpath(*parts)
    climbs = any(".." in Path(part).parts for part in parts)
    if climbs or not path.resolve().is_relative_to(folder.resolve()):
        raise PLDError(f"Example {example} names the image {'/'.join(parts)!r}, which is outside {folder}.")
    if not path.is_file():
        raise PLDError(f"Example {example} needs the image {path}, which is not there.")
    return dspy.Image.from_path(str(path))


def choose(items: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """A random sample of at most `limit` items in their own order, or all of them; equal seeds choose equally."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i] for i in sorted(random.Random(seed).sample(range(len(items)), limit))]
