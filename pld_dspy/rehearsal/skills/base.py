"""What a skill of the generated sample is: one object that draws, asks, reads back, answers and explains."""

import random
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (25, 25, 25)
GREY: Colour = (170, 170, 170)
WATER: Colour = (214, 234, 248)
RED: Colour = (214, 39, 40)
BLUE: Colour = (31, 119, 180)
GREEN: Colour = (44, 160, 44)
ORANGE: Colour = (255, 127, 14)
PURPLE: Colour = (148, 103, 189)
BROWN: Colour = (140, 86, 75)
COLOURS = (BLUE, RED, ORANGE, GREEN, PURPLE, BROWN, (227, 119, 194), (23, 190, 207))  # easy to tell apart

font = cache(ImageFont.load_default)  # Pillow's own font, in pixels

_SITUATIONS = (
    "If a question asks", "When a question asks", "Whenever it is asked", "To tell", "To find out", "For the question",
)  # fmt: skip
_CHOOSE = re.compile(r"\b(?:choose|pick|take) the (first figure|figure whose caption)\b")


@dataclass(frozen=True)
class Problem:
    """One drawn question. `answer` is the text of the right choice, or the gold answer where there are no choices."""

    question: str
    answer: str
    solution: str
    choices: tuple[str, ...] = ()
    figure: Image.Image | None = field(default=None, compare=False)
    caption: str = ""
    hint: str = ""


class Skill(ABC):
    """A kind of question with one rule that answers it.

    The simulated teacher states the rule with `wording`; the simulated student recognises a question with `asks`, a
    rule with `understands`, and follows it with `solve`, which looks at nothing but the question and the pixels. Where
    there are several figures, `finding` states how to find the right one, and `understands_finding` recognises that.
    """

    name: ClassVar[str]
    benchmark: ClassVar[Literal["scienceqa", "spiqa"]] = "scienceqa"
    subject: ClassVar[str] = ""  # ScienceQA's: natural science, social science, language science
    topic: ClassVar[str] = ""
    grade: ClassVar[str] = ""
    lecture: ClassVar[str] = ""
    figure_type: ClassVar[str] = ""  # SPIQA's: plot, table, schematic
    needs_figure: ClassVar[bool] = True
    caption_pattern: ClassVar[str] = ""  # matches this skill's captions and no other skill's
    caption_hint: ClassVar[str] = ""  # what a rule says of them, after "the figure whose caption"
    question_pattern: ClassVar[str]  # regular expressions, searched without regard to case
    rule_pattern: ClassVar[str]  # the rule is about this skill
    claim_pattern: ClassVar[str]  # ... and what it claims, which is right where the first group takes part
    questions: ClassVar[str]  # what its questions ask, as a rule says it after "If a question asks"
    right: ClassVar[tuple[str, ...]]  # wordings of what to look at and what follows
    wrong: ClassVar[str]  # the opposite

    @abstractmethod
    def draw(self, rng: random.Random) -> Problem:
        """Draw one problem; equal generators give equal problems."""

    @abstractmethod
    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        """Answer from the question and the pixels, following the right rule or the wrong one."""

    def options(self, question: str, choices: list[str], figure: Image.Image) -> list[str]:
        """What a student that knows no rule would guess from."""
        return choices

    def subject_of(self, question: str) -> str:
        """The word or words that the first group of `question_pattern` matches."""
        match = re.search(self.question_pattern, question, re.IGNORECASE)
        return match.group(1) if match else ""

    def asks(self, question: str) -> bool:
        """Whether this question is one of this skill's."""
        return re.search(self.question_pattern, question, re.IGNORECASE) is not None

    def understands(self, rule: str) -> bool | None:
        """True for this skill's right rule, False for its wrong one, None for a rule that is about something else."""
        if _CHOOSE.search(rule) or not re.search(self.rule_pattern, rule, re.IGNORECASE):
            return None
        claim = re.search(self.claim_pattern, rule, re.IGNORECASE)
        return claim.group(1) is not None if claim else None

    def understands_finding(self, rule: str) -> bool | None:
        """The same for rules that say in which of several figures to look."""
        choice = _CHOOSE.search(rule)
        if not choice or not self.caption_hint or not re.search(self.rule_pattern, rule, re.IGNORECASE):
            return None
        return choice.group(1) != "first figure"

    def wording(self, rng: random.Random, correct: bool) -> str:
        """State the rule, or its opposite, in one of many wordings."""
        return f"{rng.choice(_SITUATIONS)} {self.questions}, {rng.choice(self.right) if correct else self.wrong}."

    def finding(self, rng: random.Random, correct: bool) -> str:
        """State in which of several figures to look, or where not to."""
        verb = rng.choice(("choose", "pick", "take"))
        which = f"figure whose caption {self.caption_hint}" if correct else "first figure, whatever the captions say"
        return f"{rng.choice(_SITUATIONS)} {self.questions}, {verb} the {which}."


def canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A white picture and its pen."""
    image = Image.new("RGB", (width, height), WHITE)
    return image, ImageDraw.Draw(image)


def write(
    pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int = 18, anchor: str = "mm", colour: Colour = BLACK
) -> None:
    """Write a text, with its middle at (x, y) or what else Pillow's anchor names."""
    pen.text((x, y), text, fill=colour, font=font(size), anchor=anchor)


def mask(figure: Image.Image, colour: Colour, tolerance: int = 40) -> np.ndarray:
    """Where a picture has a colour: a boolean array, height x width."""
    bands = [np.asarray(band, dtype=np.int16) for band in figure.convert("RGB").split()]
    red, green, blue = (np.abs(band - value) <= tolerance for band, value in zip(bands, colour, strict=True))
    return red & green & blue


def columns(where: np.ndarray) -> np.ndarray:
    """The x of every column of a mask that is not empty, in order."""
    return np.flatnonzero(where.any(axis=0))


def drawn(figure: Image.Image, palette: dict[str, Colour]) -> list[str]:
    """The names whose own colour a figure has."""
    colours = {colour for _, colour in figure.convert("RGB").getcolors(1 << 16) or ()}
    return [name for name, colour in palette.items() if colour in colours]


def centre(where: np.ndarray) -> complex:
    """Mean x + yj of a mask in pixels; nan where it is empty."""
    ys, xs = np.nonzero(where)
    return complex(xs.mean(), ys.mean()) if xs.size else complex("nan")


def arrow(pen: ImageDraw.ImageDraw, start: complex, end: complex, head: int = 16) -> None:
    """A straight arrow whose tip is at `end`; points are x + yj."""
    along = (end - start) / abs(end - start)
    neck = end - head * along
    corners = [(corner.real, corner.imag) for corner in (end, neck + 0.45j * head * along, neck - 0.45j * head * along)]
    pen.line((start.real, start.imag, neck.real, neck.imag), fill=BLACK, width=3)
    pen.polygon(corners, fill=BLACK)
