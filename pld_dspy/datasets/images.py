"""Figures that are read when a prompt is made: upright, downscaled, in the smallest encoding, and cached."""

import base64
import contextlib
import io
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol

import dspy
import numpy as np
from cachetools import LRUCache, cached
from PIL import Image, ImageOps
from pydantic import BaseModel, PrivateAttr

from pld_dspy.errors import PLDError
from pld_dspy.examples import present

LONGEST_SIDE = 1024  # px
MAX_PIXELS = 64_000_000  # of a picture as it lies in its file; a decompression bomb has more
MAX_BYTES = 256 * 2**20  # of a file
CACHE_BYTES = 128 * 2**20
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow's others run programs or are no figures


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


def data_uri(figure: dspy.Image) -> str:
    """What models get of a figure."""
    message: Any = figure.format()
    return message[0]["image_url"]["url"]


def content_of(uri: str) -> bytes:
    """The picture's file in a data URI."""
    return base64.b64decode(uri.partition("base64,")[2])


def open_picture(content: bytes) -> Image.Image:
    """Decode a picture; a ValueError says what is wrong with it, as the end of a sentence that begins "which"."""
    if not content:
        raise ValueError("is empty")
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(f"is too large: it has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # a damaged header makes Pillow's plug-ins raise whatever they meet
        raise ValueError(f"is not a picture in one of the formats {', '.join(FORMATS)}") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"is too large: {width} × {height} pixels are more than {MAX_PIXELS:,}")
    try:
        picture.load()
    except Exception as error:
        raise ValueError(f"is damaged ({error})") from error
    return picture


def encode(content: bytes, longest_side: int | None = LONGEST_SIDE) -> str:
    """Make of a picture's file a data URI for a model: upright, opaque, at most so large, in the smallest encoding.

    The file's own bytes are sent where nothing has to change and they are smallest. A JPEG is not encoded twice; of
    other pictures the smaller one of PNG and a near-lossless JPEG is taken, which every provider and server reads.
    `longest_side` is in pixels; None keeps the size. Raises ValueError as `open_picture`.
    """
    original = open_picture(content)
    turned = _orientation(original) != 1
    picture = _opaque(ImageOps.exif_transpose(original) if turned else original)
    if longest_side is not None:
        picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    changed = turned or picture.size != original.size or _transparent(original) or _is_deep(original)
    candidates = []
    if not changed and original.format in ("PNG", "JPEG"):
        candidates.append((content, original.format))
    if changed or original.format != "JPEG":
        candidates.append((_saved(picture, "JPEG", quality=90, subsampling=0), "JPEG"))
        candidates.append((_saved(picture, "PNG", optimize=True), "PNG"))
    smallest, kind = min(candidates, key=lambda candidate: len(candidate[0]))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(smallest).decode()}"


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception:  # a damaged note in a sound picture
        return 1


def _is_deep(picture: Image.Image) -> bool:  # with more than 8 bits a pixel
    return picture.mode in ("I", "F") or picture.mode.startswith("I;")


def _transparent(picture: Image.Image) -> bool:
    return "A" in picture.getbands() or "transparency" in picture.info


def _opaque(picture: Image.Image) -> Image.Image:
    """8 bits a pixel, on white, since models and their preprocessing put transparent pictures on black."""
    if _is_deep(picture):  # over the range that it uses; Pillow would cut off what is above 255
        levels = np.nan_to_num(np.asarray(picture, dtype=np.float64))
        low, high = levels.min(), levels.max()
        return Image.fromarray(np.uint8(np.round(255 * (levels - low) / ((high - low) or 1))))
    if not _transparent(picture):
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    try:
        picture.save(file, kind, **options)
    except Exception as error:  # a size that the format does not have, for one
        raise ValueError(f"cannot be sent as {kind} ({error})") from error
    return file.getvalue()


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
