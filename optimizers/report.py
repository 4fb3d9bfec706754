"""A comparison as one page, for a browser without a network: scores and tests, prices, contrasts, prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import dspy
from pydantic import BaseModel, StringConstraints

from pld_dspy.datasets.images import figures_of
from pld_dspy.examples import example_id
from pld_dspy.experiment import Task
from pld_dspy.optimizers import tables
from pld_dspy.optimizers.pictures import MOST_GROUPS, comparison_pictures
from pld_dspy.optimizers.registry import BASELINE, METHOD
from pld_dspy.optimizers.results import Comparison, ProgramPrompts, Row
from pld_dspy.optimizers.unit import read_answers, read_prompts, unit_folder
from pld_dspy.pictures import content_of, data_uri, encode
from pld_dspy.report.page import LONGEST, environment
from pld_dspy.rules.wording import sound
from pld_dspy.run import RunFolder
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


def write_report(comparison: Comparison, task: Task, folder: Path) -> None:
    """Write report.html into a comparison's folder; PLDError if it cannot be written."""
    rows = [row for row in comparison.rows if row.results]
    units = [unit_folder(folder, row.optimizer, row.results[0].seed) for row in rows]
    answers = [read_answers(unit, row.results[0].n) for unit, row in zip(units, rows, strict=True)]
    page = comparison_page(comparison, contrasts(rows, answers, task), list(map(read_prompts, units)))
    RunFolder(folder).write("report.html", page)


def comparison_page(
    comparison: Comparison, differing: Sequence[Contrast] = (), prompts: Sequence[ProgramPrompts] = ()
) -> str:
    """A comparison as HTML that needs no other file, network or scripts; the same arguments give the same text."""
    from jinja2 import PackageLoader

    pages = environment(PackageLoader("pld_dspy.optimizers", "templates"))
    pages.filters["block"] = _block
    titles = {row.optimizer: row.title for row in comparison.rows}
    references = {"vs_baseline": "uncompiled", "vs_method": titles.get(METHOD, METHOD)}
    tested = [field for field in references if any(getattr(row, field) for row in comparison.rows)]
    return pages.get_template("compare.html").render(
        title=f"Optimizers compared: {comparison.program}",
        comparison=comparison,
        tables=tables,
        references={field: references[field] for field in tested},
        pictures=comparison_pictures(comparison),
        most_groups=MOST_GROUPS,
        contrasts=differing,
        programs=prompts,
        titles=titles,
    )


def contrasts(rows: Sequence[Row], answers: Sequence[Sequence[Scored]], task: Task) -> list[Contrast]:
    """Test questions on which the optimizers differ, each with all replies to it.

    First those where PLD, or without it the best row, is right and the uncompiled student wrong, then the other way
    round, then those where right and wrong are most evenly divided. The rows have results, and each has its answers in
    the order of the test questions.
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
        reply = Reply(score=scored.score or 0.0, answer=scored.answer, optimizers=[])
        replies.setdefault((reply.score, reply.answer), reply).optimizers.append(title)
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
        return encode(content_of(data_uri(figure)), THUMBNAIL)
    except ValueError:
        return None


def _block(text: str) -> str:
    """Data as text whose lines are kept, cut where it is too long for a page."""
    lines = "\n".join(line.rstrip() for line in sound(text).expandtabs(4).splitlines()).strip("\n")
    kept = "".join(sign for sign in lines if sign.isprintable() or sign == "\n")
    return kept if len(kept) <= LONGEST else f"{kept[:LONGEST]}… ({len(kept) - LONGEST:,} more characters)"
