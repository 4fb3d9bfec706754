"""Test questions on which the optimizers' programs differ, with what each of them answered."""

import base64
from collections.abc import Sequence
from typing import Annotated

import dspy
from pld_dspy.optimizers.registry import BASELINE, METHOD
from pld_dspy.optimizers.results import Row
from pydantic import BaseModel, StringConstraints

from pld_dspy.datasets.images import encode, figures_of
from pld_dspy.examples import example_id
from pld_dspy.experiment import Task
from pld_dspy.student import Scored, in_words

MOST = 4  # contrasts of a kind
THUMBNAIL = 240  # pixels of the longest side

DataURI = Annotated[str, StringConstraints(pattern=r"^data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}$")]


class Reply(BaseModel):
    """An answer to a test question, and the optimizers whose programs gave it."""

    score: float
    answer: str  # in words
    optimizers: list[str]  # titles, in the table's order


class Contrast(BaseModel):
    """A test question that one optimizer's program answered rightly and another's wrongly, with one seed."""

    example: str  # id
    question: str
    given: dict[str, str]  # the other texts that are asked with it, as choices, by input
    gold: str  # in words
    pictures: list[DataURI]  # thumbnails
    replies: list[Reply]  # in the order of the first optimizer of each


def contrasts(rows: Sequence[Row], answers: Sequence[Sequence[Scored]], task: Task) -> list[Contrast]:
    """Test questions on which the optimizers differ, each with all replies to it.

    First those where PLD, or without it the best row, is right and the uncompiled student wrong, then the other way
    round, then those where right and wrong are most evenly divided.

    Args:
        rows: that have results.
        answers: of each row, in the order of the test questions.
        task: program and examples.
    """
    if len(rows) < 2:
        return []
    names = [row.optimizer for row in rows]
    scores = [row.score or 0.0 for row in rows]
    best = names.index(METHOD) if METHOD in names else scores.index(max(scores))
    base = names.index(BASELINE) if BASELINE in names else 0
    passed = [[answer.passed for answer in replies] for replies in zip(*answers, strict=True)]  # by question and row

    def undivided(place: int) -> float:
        return abs(sum(passed[place]) / len(rows) - 0.5)

    places = range(len(passed))
    gained = [place for place in places if passed[place][best] and not passed[place][base]]
    lost = [place for place in places if passed[place][base] and not passed[place][best]]
    divided = sorted((place for place in places if undivided(place) < 0.5), key=undivided)
    chosen = dict.fromkeys([*gained[:MOST], *lost[:MOST], *divided[:MOST]])
    titles = [row.title for row in rows]
    return [_contrast(task, place, titles, [replies[place] for replies in answers]) for place in chosen]


def _contrast(task: Task, place: int, titles: Sequence[str], answers: Sequence[Scored]) -> Contrast:
    example = task.examples["test"][place]
    replies: dict[tuple[float, str], Reply] = {}
    for title, scored in zip(titles, answers, strict=True):
        reply = Reply(score=scored.score, answer=scored.answer, optimizers=[])
        replies.setdefault((scored.score, scored.answer), reply).optimizers.append(title)
    texts = {name: _text(value) for name, value in example.inputs().items() if name != "question"}
    return Contrast(
        example=example_id(example),
        question=str(example.get("question") or ""),
        given={name: text for name, text in texts.items() if text},
        gold=in_words(task.program, example, example.labels()),
        pictures=[thumbnail for figure in figures_of(example) if (thumbnail := _thumbnail(figure))],
        replies=list(replies.values()),
    )


def _text(value: object) -> str:
    """An input in words; empty for pictures and for what is not there."""
    items = value if isinstance(value, list | tuple) else [value]
    return "; ".join(str(item) for item in items if item not in (None, "") and not isinstance(item, dspy.Image))


def _thumbnail(figure: dspy.Image) -> str | None:
    """None where it is only an address, or no picture that can be read."""
    try:
        return encode(base64.b64decode(figure.format()[0]["image_url"]["url"].partition("base64,")[2]), THUMBNAIL)
    except ValueError:
        return None
