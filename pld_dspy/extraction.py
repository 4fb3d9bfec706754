"""Phase 1: one general rule from each training example."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import dspy

from pld_dspy.errors import PLDError
from pld_dspy.evaluation import in_words
from pld_dspy.examples import example_id, present, rationale
from pld_dspy.rules import MicroRule
from pld_dspy.runner import NOT_RUN, Runner
from pld_dspy.teacher import Teacher

ATTEMPTS = 2  # a rule that is refused may be written once more
MAX_WORDS = 90
QUOTED_WORDS = 7  # as many words of the example in a row are a quotation
_OPTION_LETTER = re.compile(
    r"\((?-i:[A-H])\)|\b(?:option|choice|letter|answer(?: is)?:?) ?[\"']?(?-i:[A-H])\b", re.IGNORECASE
)
_WORD = re.compile(r"\w+(?:['’]\w+)?")
_THIS_EXAMPLE = re.compile(r"\bin this (?:case|example|question)\b|\bthe (?:given|correct) answer is\b", re.IGNORECASE)
_NUMBER = re.compile(r"\b\d[\d.,]*\d\b|\b[4-9]\b")  # small numbers are as often general knowledge
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][a-z]+\b")  # capitalised inside a sentence
_CONDITION = re.compile(r"\W*(?:if|when|whenever|where|for|to)\b", re.IGNORECASE)


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


def lesson(student: dspy.Module, predictor: str, example: dspy.Example) -> Lesson:
    """Prepare one example for one of the student's predictors."""
    case = present(dict(example.inputs()))
    return Lesson(
        predictor=predictor,
        id=example_id(example),
        task=dict(student.named_predictors())[predictor].signature.instructions,
        text=case.text,
        figures=case.figures,
        answer=in_words(student, example, example.labels()),
        rationale=rationale(example),
        lecture=str(example.get("lecture") or ""),
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
        teacher: its `extract` predictor is asked, on the language model of the calling context.
        runner: makes the calls.
        record: called with every rule as soon as it is there, from many threads.

    Returns:
        The usable rules in the order of the lessons.

    Raises:
        PLDError: not one rule is usable, or the teacher does not answer.
    """

    demonstrations = "\n".join(str(demo.get("example", "")) for demo in teacher.extract.demos)

    def ask(lesson: Lesson) -> MicroRule | str:
        refused = problem = ""
        for _ in range(ATTEMPTS):
            reply = teacher.extract(
                task=lesson.task,
                example=lesson.text,
                figures=lesson.figures,
                rationale=lesson.rationale,
                answer=lesson.answer,
                refused=refused,
            )
            rule = " ".join((reply.rule or "").split())
            problem = flaw(rule, lesson, demonstrations) or ""
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


def flaw(rule: str, lesson: Lesson, demonstrations: str = "") -> str | None:
    """What makes a text unusable as a general rule, or None.

    A rule must begin with when it applies. It must not be empty or a treatise, name an option by its letter, speak of
    its example, quote it or the teacher's demonstrations, or take a name or a number from the example that the lecture
    does not have.
    """
    words = _WORD.findall(rule)
    if len(words) < 4:
        return "the rule is empty or a fragment"
    if len(words) > MAX_WORDS:
        return f"the rule has more than {MAX_WORDS} words"
    if _OPTION_LETTER.search(rule):
        return "the rule names an option by its letter"
    if not _CONDITION.match(rule):
        return "the rule does not say when it applies; begin with the kind of question: If ..."
    if match := _THIS_EXAMPLE.search(rule):
        return f"the rule speaks of its example ({match.group()!r})"
    if quoted := _quotation(rule, f"{lesson.text}\n{demonstrations}"):
        return f"the rule quotes an example: {quoted!r}"
    own = set(_WORD.findall(lesson.text)) - set(_WORD.findall(lesson.lecture))
    names = set(_NAME.findall(rule)) | set(words) & set(_NAME.findall(lesson.text))
    for kind, found in (("names", names), ("has the number", set(_NUMBER.findall(rule)))):
        if taken := own & found:
            return f"the rule {kind} {', '.join(sorted(taken))} from its example"
    return None


def _quotation(rule: str, text: str) -> str | None:
    words, there = _WORD.findall(rule.casefold()), " ".join(_WORD.findall(text.casefold()))
    for start in range(len(words) - QUOTED_WORDS + 1):
        span = " ".join(words[start : start + QUOTED_WORDS])
        if f" {span} " in f" {there} ":
            return span
    return None
