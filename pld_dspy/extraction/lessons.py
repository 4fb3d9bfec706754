"""Phase 1: one general rule from each training example."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import dspy

from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id, present, rationale
from pld_dspy.extraction.traces import Turn
from pld_dspy.rules import MicroRule
from pld_dspy.rules.wording import MAX_WORDS, flaw, leak
from pld_dspy.run.runner import NOT_RUN, Runner
from pld_dspy.student.evaluation import in_words
from pld_dspy.teacher import Teacher

ATTEMPTS = 2  # a rule that is refused may be written once more
KIND_FIELDS = ("skill", "topic", "category", "figure_type", "subject")  # the narrowest first


class Lesson(NamedTuple):
    """A labelled example as the teacher gets it."""

    predictor: str
    id: str
    task: str
    text: str
    figures: list[dspy.Image]
    answer: str
    rationale: str
    lecture: str  # the part of the rationale that is general knowledge
    kind: str = ""  # what kind of question the data say it is


def lesson(student: dspy.Module, predictor: str, example: dspy.Example, turn: Turn | None = None) -> Lesson | None:
    """Prepare one example for one of the student's predictors, with the labels of its own outputs as the answer.

    Args:
        student: the program.
        predictor: its name.
        example: a labelled example.
        turn: what the predictor got and gave where a model answered the example right. Its inputs are shown instead of
            the example's, and its outputs are the answer where the example labels none of them.

    Returns:
        None where these labels are empty. Where the example labels other names only, and there is no turn, they are all
        the answer.
    """
    case = present(turn.inputs if turn else dict(example.inputs()))
    signature = dict(student.named_predictors())[predictor].signature
    labels = example.labels()
    own = [name for name in labels if name in signature.output_fields]
    if own and not any(labels[name] not in (None, "") for name in own):
        return None
    if own:
        answer = in_words(student, example, dspy.Example({name: labels[name] for name in own}))
    elif turn:
        answer = "\n".join(str(turn.outputs[name]) for name in turn.outputs if name != "reasoning")
    else:
        answer = in_words(student, example, labels)
    return Lesson(
        predictor=predictor,
        id=example_id(example),
        task=signature.instructions,
        text=case.text,
        figures=case.figures,
        answer=answer,
        rationale=rationale(example),
        lecture=str(example.get("lecture") or ""),
        kind=next((str(example[name]) for name in KIND_FIELDS if example.get(name)), ""),
    )


def extract(
    lessons: Sequence[Lesson],
    teacher: Teacher,
    runner: Runner,
    record: Callable[[MicroRule], None] = lambda micro_rule: None,
) -> list[MicroRule]:
    """Ask the teacher for a rule from each lesson, side by side; drop the rules that are none.

    Args:
        lessons: labelled examples.
        teacher: its `extract` is asked, on the language model of the calling context; about all of a lesson, or about
            what its method `given(lesson)` returns where it has one.
        runner: makes the calls.
        record: called with every rule as soon as it is there, from many threads.

    Returns:
        The usable rules in the order of the lessons.

    Raises:
        PLDError: not one rule is usable, or the teacher does not answer.
    """

    shown = [demo for predictor in teacher.extract.predictors() for demo in predictor.demos]
    demonstrations = "\n".join(str(demo.get("example") or demo.get("rationale", "")) for demo in shown)
    given = getattr(teacher, "given", _given)

    def ask(lesson: Lesson) -> MicroRule | str:
        refused = problem = ""
        for _ in range(ATTEMPTS):
            reply = teacher.extract(**given(lesson), refused=refused)
            rule = " ".join((reply.rule or "").split())
            problem = flaw(rule) or leak(rule, f"{lesson.text}\n{demonstrations}", lesson.lecture) or ""
            if not problem:
                found = MicroRule(
                    predictor=lesson.predictor, example=lesson.id, rule=rule, reasoning=reply.reasoning or ""
                )
                record(found)
                return found
            refused = f"{' '.join(rule.split()[:MAX_WORDS])}\nCannot be used: {problem}."
        return problem

    outcomes = runner.map(ask, lessons, "Extracting rules")
    found = [outcome.value for outcome in outcomes if isinstance(outcome.value, MicroRule)]
    problems = Counter(
        outcome.error or outcome.value for outcome in outcomes if not isinstance(outcome.value, MicroRule)
    )
    if problems and not found and NOT_RUN not in problems:
        raise PLDError(
            f"The teacher wrote no usable rule for any of {len(lessons)} examples; most often: "
            f"{problems.most_common(1)[0][0]}."
        )
    return found


def _given(lesson: Lesson) -> dict[str, Any]:
    """What a teacher is told of a lesson."""
    return {
        "task": lesson.task,
        "example": lesson.text,
        "figures": lesson.figures,
        "rationale": lesson.rationale,
        "answer": lesson.answer,
    }
