"""Figures that are read when a prompt is made: upright, downscaled, in the smallest encoding, and cached."""

import contextlib
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol

import dspy
from cachetools import LRUCache, cached
from pydantic import BaseModel, PrivateAttr

from pld_dspy.errors import PLDError
from pld_dspy.examples import present
from pld_dspy.pictures import LONGEST_SIDE, encode, open_picture

MAX_BYTES = 256 * 2**20  # of a file
CACHE_BYTES = 128 * 2**20


class BadImage(PLDError):
    """A figure that cannot be used: says which example needs it, where it should be, and what is wrong with it."""

    def __init__(self, example: str, name: str, fault: str) -> None:
        super().__init__(f"Example {example} needs the image {name}, which {fault}.")
        self.example, self.name, self.fault = example, name, fault

    def __reduce__(self) -> tuple[Any, ...]:
        return BadImage, (self.example, self.name, self.fault)


class Source(Protocol):
    """Where a picture's file is; where it is not there or cannot be read, `version` and `read` raise an OSError."""

    @property
    def name(self) -> str:
        """What a person is told."""

    @property
    def version(self) -> object:
        """What tells this picture, as it is now, from all others."""

    def read(self) -> bytes:
        """The file's bytes."""


class File(NamedTuple):
    """A picture in a folder."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def version(self) -> object:
        status = self.path.stat()
        return self.path.absolute(), status.st_mtime_ns, status.st_size

    def read(self) -> bytes:
        status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no file")
        if status.st_size > MAX_BYTES:
            raise OSError(f"it has more than {MAX_BYTES:,} bytes")
        return self.path.read_bytes()


class Figure(dspy.Image):
    """A `dspy.Image` that holds the place of its picture, not the picture.

    The bytes are read from the source when a prompt is made, and downscaled to `longest_side` pixels unless that is
    None. `example` is the id of the example that needs it. `url` is the place, for people; what models get is
    `format()`.
    """

    _source: Source = PrivateAttr()
    _example: str = PrivateAttr()
    _longest_side: int | None = PrivateAttr()

    def __init__(self, source: Source, *, example: str, longest_side: int | None = LONGEST_SIDE) -> None:
        BaseModel.__init__(self, url=source.name)  # not dspy.Image's, which would read the picture
        self._source, self._example, self._longest_side = source, example, longest_side

    @property
    def example(self) -> str:
        """Id of the example that needs it."""
        return self._example

    def format(self) -> list[dict[str, Any]]:
        """The picture as a part of a message, a data URI; BadImage if it is missing, damaged or too large."""
        with self._faults_named():
            uri = _encoded(self._source, self._longest_side, self._source.version)
        return [{"type": "image_url", "image_url": {"url": uri}}]

    def check(self) -> None:
        """Read and decode the picture, and forget it again; BadImage as `format`."""
        with self._faults_named():
            open_picture(self._source.read()).close()

    @contextlib.contextmanager
    def _faults_named(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise BadImage(self._example, self.url, "is not there") from error
        except OSError as error:
            raise BadImage(self._example, self.url, f"cannot be read ({error.strerror or error})") from error
        except ValueError as error:
            raise BadImage(self._example, self.url, str(error)) from error

    def __deepcopy__(self, memo: dict | None = None) -> "Figure":
        return self  # frozen

    def __repr__(self) -> str:
        return f"Figure({self.url!r})"


Describe = Callable[[Sequence[Figure]], list[str]]  # figures → a text for each


@cached(LRUCache(CACHE_BYTES, getsizeof=len), key=lambda source, side, version: (side, version), lock=Lock())
def _encoded(source: Source, longest_side: int | None, version: object) -> str:
    return encode(source.read(), longest_side)


def figures_of(example: dspy.Example) -> list[dspy.Image]:
    """All figures in an example's inputs, in the order of the fields."""
    return present(dict(example.inputs())).figures


def faults(figures: Sequence[dspy.Image]) -> list[BadImage]:
    """Decode every picture once, side by side: what is wrong with those that cannot be used, in their order."""
    lazy = [figure for figure in figures if isinstance(figure, Figure)]
    pictures = {figure.url: figure for figure in lazy}  # questions about one paper share its figures

    def fault_of(figure: Figure) -> str | None:
        try:
            figure.check()
        except BadImage as bad:
            return bad.fault
        return None

    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding Python's lock
        by_picture = dict(zip(pictures, pool.map(fault_of, pictures.values()), strict=True))
    return [BadImage(figure.example, figure.url, fault) for figure in lazy if (fault := by_picture[figure.url])]
