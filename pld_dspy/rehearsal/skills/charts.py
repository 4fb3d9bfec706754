"""What the figures of scientific papers share: their methods and data sets, axes, and reading what is drawn."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from pld_dspy.rehearsal.skills import base
from pld_dspy.rehearsal.skills.base import BLACK, Colour, canvas, font

METHODS: dict[str, Colour] = {
    "RidgeNet": base.BLUE,
    "DeepFold": base.ORANGE,
    "SwiftGAT": base.GREEN,
    "HyperMix": base.RED,
    "NodeFlow": base.PURPLE,
    "GraphPro": base.BROWN,
    "CoreLSTM": base.PINK,
    "TinyViT": base.TEAL,
}
DATASETS = ("Cora", "Citeseer", "Pubmed", "CIFAR-10", "ImageNet", "SVHN")
COUNT = {3: "three", 4: "four", 5: "five"}


def axes(
    image: Image.Image,
    box: tuple[int, int, int, int],
    y_label: str,
    y_top: float,
    x_label: str = "",
    x_end: float = 0,
) -> None:
    """Axes along the left and the lower side of a box, with six ticks from 0 on: y to `y_top`, x to `x_end` if any."""
    pen, (left, top, right, bottom) = ImageDraw.Draw(image), box
    pen.line((left, top, left, bottom, right, bottom), fill=BLACK, width=2)
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        x, y = left + share * (right - left), bottom - share * (bottom - top)
        pen.line((left - 5, y, left, y), fill=BLACK)
        pen.text((left - 9, y), f"{y_top * share:g}", fill=BLACK, font=font(16), anchor="rm")
        if x_end:
            pen.line((x, bottom, x, bottom + 5), fill=BLACK)
            pen.text((x, bottom + 16), f"{x_end * share:g}", fill=BLACK, font=font(16), anchor="mm")
    pen.text(((left + right) / 2, bottom + 40), x_label, fill=BLACK, font=font(18), anchor="mm")
    label, writer = canvas(bottom - top, 26)
    writer.text(((bottom - top) / 2, 13), y_label, fill=BLACK, font=font(18), anchor="mm")
    image.paste(label.rotate(90, expand=True), (2, top))


def drawn(figure: Image.Image, palette: dict[str, Colour]) -> list[str]:
    """The names whose own colour a figure has."""
    colours = {colour for _, colour in figure.convert("RGB").getcolors(1 << 16) or ()}
    return [name for name, colour in palette.items() if colour in colours]


def read(figure: Image.Image, x: float, y: float, texts: tuple[str, ...], size: int = 20) -> str:
    """The text that looks most like what is written from (x, y) on."""
    known = _rendered(texts, size)
    height, width = known.shape[1:]
    left, top = round(x), round(y) - height // 2
    seen = np.asarray(figure.crop((left, top, left + width, top + height)).convert("L"), dtype=np.int16)
    return texts[int(np.abs(known - seen).sum(axis=(1, 2)).argmin())]


@cache
def _rendered(texts: tuple[str, ...], size: int) -> np.ndarray:
    width = round(max(font(size).getlength(text) for text in texts))
    pictures = [canvas(width, 28) for _ in texts]
    for text, (_, pen) in zip(texts, pictures, strict=True):
        pen.text((0, 14), text, fill=BLACK, font=font(size), anchor="lm")
    return np.stack([np.asarray(image.convert("L"), dtype=np.int16) for image, _ in pictures])
