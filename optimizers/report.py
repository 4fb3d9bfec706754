"""The report of a comparison: what its page shows beside the table, from the folder and the examples."""

import base64
from collections.abc import Sequence
from pathlib import Path

import dspy

from pld_dspy.datasets.images import encode, figures_of
from pld_dspy.examples import example_id
from pld_dspy.experiment import Task
from pld_dspy.optimizers.registry import BASELINE, METHOD
from pld_dspy.optimizers.results import Comparison, Contrast, Reply, Row
from pld_dspy.optimizers.unit import Unit
from pld_dspy.run.folder import RunFolder
from pld_dspy.student.evaluation import Scored, in_words

EACH = 4  # contrasts of a kind
THUMBNAIL = 240  # pixels of the longest side


def write_report(comparison: Comparison, task: Task, folder: Path) -> None:
    """Write report.html into a comparison's folder.

    Raises:
        PLDError: it cannot be written.
    """
    from pld_dspy.optimizers.page import comparison_page

    ran = [row for row in comparison.rows if row.results]
    first = {row.optimizer: Unit(row.optimizer, row.results[0].seed, folder) for row in ran}
    answers = {name: unit.answers() for name, unit in first.items()}
    page = comparison_page(comparison, contrasts(ran, answers, task), [unit.told() for unit in first.values()])
    RunFolder(folder).write("report.html", page)


def contrasts(rows: Sequence[Row], answers: dict[str, list[Scored]], task: Task) -> list[Contrast]:
    """Test questions on which the optimizers differ, each with all replies to it.

    First those where PLD, or without it the best row, is right and the uncompiled student wrong, then the other way
    round, then those where right and wrong are most evenly divided.

    Args:
        rows: that have results.
        answers: by optimizer, in the order of the test questions.
        task: program and examples.
    """
    if len(rows) < 2:
        return []
    names = [row.optimizer for row in rows]
    best = METHOD if METHOD in names else max(rows, key=lambda row: row.score or 0.0).optimizer
    base = BASELINE if BASELINE in names else names[0]
    places = range(len(answers[base]))
    passed = {name: [answer.passed for answer in answers[name]] for name in names}

    def undivided(place: int) -> float:
        return abs(sum(passed[name][place] for name in names) / len(names) - 0.5)

    gained = [place for place in places if passed[best][place] and not passed[base][place]]
    lost = [place for place in places if passed[base][place] and not passed[best][place]]
    divided = sorted((place for place in places if undivided(place) < 0.5), key=undivided)
    chosen = dict.fromkeys([*gained[:EACH], *lost[:EACH], *divided[:EACH]])
    return [_contrast(task, place, {name: answers[name][place] for name in names}) for place in chosen]


def _contrast(task: Task, place: int, replies: dict[str, Scored]) -> Contrast:
    example = task.examples["test"][place]
    return Contrast(
        example=example_id(example),
        question=str(example.get("question") or ""),
        given={name: text for name, value in example.inputs().items() if name != "question" and (text := _text(value))},
        gold=in_words(task.program, example, example.labels()),
        pictures=[thumbnail for figure in figures_of(example) if (thumbnail := _thumbnail(figure))],
        replies=[Reply(optimizer=name, score=of.score, answer=of.answer) for name, of in replies.items()],
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
