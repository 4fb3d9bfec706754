"""Labelled examples as the teacher gets them."""

from typing import NamedTuple

import dspy

from pld_dspy.context import Context
from pld_dspy.examples import (
    answer_fields,
    blank,
    example_id,
    has_options,
    labelled_predictors,
    present,
    rationale,
    written,
)
from pld_dspy.extraction.traces import Turn, passed_traces
from pld_dspy.student import in_words

KIND_FIELDS = ("skill", "topic", "category", "figure_type", "subject")  # the narrowest first


class Lesson(NamedTuple):
    """A labelled example as the teacher gets it, for one predictor."""

    predictor: str
    id: str
    task: str
    text: str
    figures: list[dspy.Image]
    answer: str
    rationale: str
    lecture: str  # the part of the rationale that is general knowledge
    kind: str = ""  # what kind of question the data say it is
    options: bool = False  # whether it has options with letters


def lessons_of(context: Context, traced: bool = False) -> list[Lesson]:
    """The training examples as the teacher gets them, for each predictor that can learn from them.

    Args:
        context: of the compile.
        traced: whether predictors of a program with several learn from what they did; see `passed_traces`.
    """
    labelled = labelled_predictors(context.student, context.trainset)
    turns = passed_traces(context) if traced and len(context.student.predictors()) > 1 else {}
    lessons: dict[tuple[str, str], Lesson] = {}  # once for equal examples
    for name, _ in context.student.named_predictors():
        for example in context.trainset:
            turn = turns.get(example_id(example), {}).get(name)
            learns = name in labelled or turn is not None
            if learns and (made := lesson(context.student, name, example, turn)):
                lessons.setdefault((name, made.id), made)
    return list(lessons.values())


def lesson(student: dspy.Module, predictor: str, example: dspy.Example, turn: Turn | None = None) -> Lesson | None:
    """Prepare one example for one of the student's predictors, with the labels of its own outputs as the answer.

    Args:
        student: the program.
        predictor: its name.
        example: a labelled example.
        turn: what the predictor got and gave where a model answered the example right. Its inputs are shown instead of
            the example's, and its outputs are the answer where the example labels none of them.

    Returns:
        None where these labels are empty. Without a turn and labels of its own, all labels are the answer.
    """
    case = present(turn.inputs if turn else dict(example.inputs()))
    signature = dict(student.named_predictors())[predictor].signature
    labels = example.labels()
    answers = answer_fields(student)[predictor]
    own = {name: value for name, value in labels.items() if name in answers}
    if own and all(map(blank, own.values())):
        return None
    if turn and not own:
        said = (value for name, value in turn.outputs.items() if name != "reasoning" or name in answers)
        answer = "\n".join(map(written, said))
    else:
        answer = in_words(student, example, dspy.Example(own) if own else labels)
    return Lesson(
        predictor=predictor,
        id=example_id(example),
        task=signature.instructions,
        text=case.text,
        figures=case.figures,
        answer=answer,
        rationale=rationale(example, answers),
        lecture="" if blank(example.get("lecture")) or "lecture" in answers else str(example.lecture),
        options=has_options(example),
        kind=next((written(example[name]) for name in KIND_FIELDS if not blank(example.get(name))), ""),
    )
