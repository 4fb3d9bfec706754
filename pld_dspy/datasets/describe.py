"""Figures in words, for students without eyes: each picture is described once, and a file keeps what was written."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dspy
from pydantic import BaseModel

from pld_dspy.errors import PLDError
from pld_dspy.models import described
from pld_dspy.pictures import content_of, data_uri, open_picture
from pld_dspy.run.folder import append_line, read_lines
from pld_dspy.run.runner import Runner

Write = Callable[[dspy.Image], str]

MAX_CHARACTERS = 2000  # of a description; a model that repeats itself would otherwise fill the student's prompt


class DescribeFigure(dspy.Signature):
    """Describe the figure for someone who cannot see it and answers science questions about it from your words alone.

    Begin with the kind of figure (photograph, map, diagram, line plot, bar chart, table, ...). Then say all that a
    question could ask about: every label and word as it is written, every number with its unit, the axes with their
    ranges, the legend with the colour or mark of each entry, the values that can be read off, what each arrow or line
    leads from and to, and how the parts lie to each other (left, right, above, below, inside). Say only what is
    visible: no guesses, no explanations. Plain text without headings or lists, at most 150 words."""

    image: dspy.Image = dspy.InputField(desc="the figure")
    description: str = dspy.OutputField(desc="what it shows, in plain text")


class Description(BaseModel):
    """A picture in words: a line of a descriptions file."""

    picture: str  # SHA-256 of what models are sent
    by: str  # the model, or "ocr"
    text: str


class Describer:
    """Describes figures, and keeps every description as soon as it is there: the same picture is never asked twice.

    `write` describes a picture, from many threads; its `__name__` tells its descriptions from another's. `path` is the
    JSONL file of `Description`s. The runner makes the calls, which count as its describer's.
    """

    def __init__(self, write: Write, path: str | Path, runner: Runner) -> None:
        self._write, self._path, self._runner, self._lock = write, Path(path), runner, threading.Lock()
        self._by: str = getattr(write, "__name__", type(write).__name__)
        lines = read_lines(self._path, Description)
        self._known = {line.picture: line.text for line in lines if line.by == self._by}

    def __call__(self, figures: Sequence[dspy.Image]) -> list[str]:
        """A text for each figure, in their order; PLDError if the model does not answer or some have no description."""
        with ThreadPoolExecutor() as pool:  # a figure may have to read and encode its picture
            pictures = list(pool.map(lambda figure: hashlib.sha256(data_uri(figure).encode()).hexdigest(), figures))
        new = {picture: figure for picture, figure in zip(pictures, figures, strict=True) if picture not in self._known}
        outcomes = self._runner.map("describer", self._describe, list(new.items()), "Describing figures")
        if problems := [problem for outcome in outcomes if (problem := outcome.error or outcome.value)]:
            raise PLDError(
                f"{len(problems)} of {len(new)} figures have no description by {self._by}; the first: {problems[0]}. "
                f"What was written is in {self._path}, and the same command goes on from there."
            )
        return [self._known[picture] for picture in pictures]

    def _describe(self, item: tuple[str, dspy.Image]) -> str | None:
        """Describe one picture; what is wrong is returned, if anything."""
        picture, figure = item
        try:
            text = self._write(figure)
        except PLDError as error:
            return str(error)
        text = " ".join(text.encode("utf-8", "replace").decode().split())[:MAX_CHARACTERS]
        if not text:
            return "the description is empty"
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            append_line(self._path, Description(picture=picture, by=self._by, text=text))
            self._known[picture] = text
        return None


def described_by(lm: dspy.BaseLM) -> Write:
    """Have a vision model describe pictures."""
    predict = dspy.Predict(DescribeFigure)
    predict.set_lm(lm.copy(cache=False))  # the file keeps what is good; a cache would give what is not over and over

    def describe(image: dspy.Image) -> str:
        return predict(image=image).description or ""

    describe.__name__ = described(lm)  # with its settings: others write other descriptions
    return describe


def read_by_ocr() -> Write:
    """Have RapidOCR read the text in pictures, line by line from the top; PLDError if it is not installed."""
    try:
        import onnxruntime  # noqa: F401  # RapidOCR looks for it only at the first picture
        from rapidocr import RapidOCR
    except ImportError as error:
        raise PLDError(f"OCR needs RapidOCR: install pld-dspy[ocr] ({error}).") from error
    engine = RapidOCR(params={"Global.log_level": "error"})
    lock = threading.Lock()

    def ocr(image: dspy.Image) -> str:
        try:
            # RGBA, since RapidOCR would take a palette's indices for greys
            picture = open_picture(content_of(data_uri(image))).convert("RGBA")
            with lock:  # the engine has state, and uses all cores by itself
                lines = getattr(engine(picture), "txts", None)  # a result of another type has found no text
        except Exception as error:  # Pillow, OpenCV and RapidOCR each raise their own
            raise PLDError(f"the picture cannot be read ({error!r})") from error
        return f"Text in the picture: {'; '.join(lines)}" if lines else "No text in the picture."

    return ocr
