"""Pictures as models get them: upright, opaque, at most so large, in the smallest encoding."""

import base64
import io
from typing import Any

import dspy
import numpy as np
from PIL import Image, ImageOps

LONGEST_SIDE = 1024  # px
MAX_PIXELS = 64_000_000  # of a picture as it lies in its file; a decompression bomb has more
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow's others run programs or are no figures


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
    turned, picture = _orientation(original) != 1, as_seen(original)
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


def as_seen(picture: Image.Image) -> Image.Image:
    """A picture as a person sees it: upright, with 8 bits a pixel, grey or RGB, on white where it is transparent."""
    return _opaque(ImageOps.exif_transpose(picture) if _orientation(picture) != 1 else picture)


def ready(figure: dspy.Image) -> dspy.Image:
    """A figure as models should get it, as `encode` makes it: itself where it is read later, lies elsewhere, or is so.

    Raises ValueError as `open_picture`.
    """
    if type(figure) is not dspy.Image or not figure.url.startswith("data:image/"):
        return figure
    made = encode(content_of(figure.url))
    return figure if made == figure.url else dspy.Image(made)


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
