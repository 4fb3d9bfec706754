"""Where rules come from: the teacher's lessons from examples, the data's own explanations, people."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import dspy

from pld_dspy.context import Context
from pld_dspy.errors import PLDError
from pld_dspy.extraction.lessons import Lesson, lessons_of
from pld_dspy.extraction.people import Expertise, expert_rules
from pld_dspy.extraction.rationales import from_rationales, mentions
from pld_dspy.identity import digest
from pld_dspy.plugins import named
from pld_dspy.rules import MicroRule
from pld_dspy.rules.wording import MAX_WORDS, common_stems, flaw, leak
from pld_dspy.run import NOT_RUN, BudgetSpent

ATTEMPTS = 2  # a rule that is refused may be written once more


@runtime_checkable
class Source(Protocol):
    """Where micro-rules come from. An outsider's is passed as `PLDTeleprompter(extraction=...)`, or registered under
    the entry-point group `pld_dspy.sources` and named with `--extraction`.

    Attributes:
        name: for run.json and the command line.
        asks: whether it asks the teacher's model.
        traces: whether it learns from what each predictor of a program did, so that those without labels learn too.
    """

    name: str
    asks: bool = False
    traces: bool = False

    def identity(self, predictors: Sequence[str]) -> str:
        """What run.json says of it; PLDError if it cannot be read, before anything is paid."""
        return self.name

    def micro_rules(self, context: Context, predictors: Sequence[str]) -> list[MicroRule]:
        """The micro-rules, for the predictors that learn."""


class Examples(Source):
    """The teacher looks at each example with its gold answer and writes one rule."""

    name, asks, traces = "examples", True, True

    def micro_rules(self, context: Context, predictors: Sequence[str]) -> list[MicroRule]:
        """A rule for each lesson for which the teacher writes a usable one."""
        assert context.teacher is not None
        return ask_for_rules(context, lessons_of(context, traced=True), context.teacher.extract, _solved)


class RewrittenRationales(Source):
    """The teacher rewrites the explanations that came with the data, and sees neither questions nor figures.

    It costs less than `Examples`: examples that share a lecture share a prompt, which DSPy's cache answers.
    """

    name, asks = "rewritten rationales", True

    def micro_rules(self, context: Context, predictors: Sequence[str]) -> list[MicroRule]:
        """A rule for each lesson with an explanation for which the teacher writes a usable one."""
        assert context.teacher is not None
        lessons = [lesson for lesson in lessons_of(context) if (lesson.lecture or lesson.rationale).strip()]
        return ask_for_rules(context, lessons, context.teacher.rewrite, _explained)


class Rationales(Source):
    """Sentences of the explanations that came with the data, without a model."""

    name = "rationales"

    def micro_rules(self, context: Context, predictors: Sequence[str]) -> list[MicroRule]:
        """A rule for each lesson whose explanation has a sentence that can be one."""
        return from_rationales(lessons_of(context))


class People(Source):
    """Rules that people wrote; they stay marked as theirs.

    Args:
        rules: a file of micro-rules or a rule set, or either as objects; see `people.expert_rules`.
    """

    name = "people"

    def __init__(self, rules: Expertise) -> None:
        self.rules = rules

    def identity(self, predictors: Sequence[str]) -> str:
        """How many rules, and a hash of them."""
        rules = expert_rules(self.rules, predictors)
        return f"people {len(rules)} {digest(''.join(rule.model_dump_json() for rule in rules))}"

    def micro_rules(self, context: Context, predictors: Sequence[str]) -> list[MicroRule]:
        """The rules that people wrote."""
        return expert_rules(self.rules, predictors)


SOURCES: Mapping[str, Callable[[], Source]] = {kind.name: kind for kind in (Examples, RewrittenRationales, Rationales)}


def sources_of(extraction: str | Source | Sequence[str | Source]) -> list[Source]:
    """Sources by name or as they are; "none" is no source.

    Raises:
        PLDError: there is none of a name, one is no source, or two of them ask the teacher.
    """
    sources: list[Source] = []
    for source in [extraction] if isinstance(extraction, str | Source) else extraction:
        if isinstance(source, Source):
            sources.append(source)
        elif not isinstance(source, str):
            raise PLDError(f"Rules come from a pld_dspy.extraction.Source or the name of one, not from {source!r}.")
        elif source != "none":
            sources.append(named("sources", source, SOURCES, "extraction")())
    if sum(source.asks for source in sources) > 1:
        raise PLDError("Two sources of rules ask the teacher: take one of them.")
    return sources


def extract(context: Context, sources: Sequence[Source], predictors: Sequence[str]) -> list[MicroRule]:
    """Phase 1: the micro-rules of all sources.

    Args:
        context: of the compile.
        sources: in the order in which their rules come.
        predictors: those that learn.

    Raises:
        PLDError: there is none.
        BudgetSpent: the budget ended before the first rule.
    """
    micro_rules = [rule for source in sources for rule in source.micro_rules(context, predictors)]
    if not micro_rules:
        names = " and ".join(source.name for source in sources)
        raise PLDError(
            f"No rule came of the {names} of {len(context.trainset)} training examples: they need labels that a "
            "predictor can learn from, and for rationales a lecture or solution with a sentence that can be a rule."
        )
    return micro_rules


def ask_for_rules(
    context: Context, lessons: Sequence[Lesson], predictor: dspy.Module, fields: Callable[[Lesson], dict[str, Any]]
) -> list[MicroRule]:
    """Ask the teacher for a rule from each lesson that an interrupted run has not learned, side by side.

    Args:
        context: of the compile.
        lessons: labelled examples.
        predictor: of the teacher; its replies have a `rule` and its `reasoning`.
        fields: what it is asked with about a lesson.

    Returns:
        The usable rules in the order of the lessons.

    Raises:
        PLDError: not one rule is usable, or the teacher does not answer.
        BudgetSpent: the budget ended before the first rule.
    """
    shown = [demo for part in predictor.predictors() for demo in part.demos]
    stems = common_stems(lesson.text for lesson in lessons)
    demonstrations = "\n".join(str(demo.get("example") or demo.get("rationale", "")) for demo in shown)

    def ask(lesson: Lesson) -> MicroRule | str:
        """A usable rule, or what is wrong with the last one."""
        refused = problem = ""
        for _ in range(ATTEMPTS):
            reply = predictor(**fields(lesson), refused=refused)
            rule, reasoning = " ".join((reply.rule or "").split()), reply.reasoning or ""
            problem = (
                flaw(rule, lesson.options)
                or leak(rule, f"{lesson.text}\n{demonstrations}", lesson.lecture, stems)
                or ""
            )
            if not problem:
                micro = MicroRule(predictor=lesson.predictor, example=lesson.id, rule=rule, reasoning=reasoning)
                context.folder.append("micro_rules.jsonl", micro)
                return micro
            refused = f"{' '.join(rule.split()[:MAX_WORDS])}\nCannot be used: {problem}."
        return problem

    known = {(rule.predictor, rule.example): rule for rule in context.folder.lines("micro_rules.jsonl", MicroRule)}
    new = [lesson for lesson in lessons if (lesson.predictor, lesson.id) not in known]
    outcomes = context.ask("teacher", ask, new, "Extracting rules", id_of=lambda lesson: lesson.id)
    rules = [outcome.value for outcome in outcomes if isinstance(outcome.value, MicroRule)]
    problems = [outcome.error or outcome.value for outcome in outcomes]
    if problems and not rules and NOT_RUN not in problems:
        often = Counter(problems).most_common(1)[0][0]
        raise PLDError(f"The teacher wrote no usable rule for any of {len(new)} examples; most often: {often}.")
    known |= {(rule.predictor, rule.example): rule for rule in rules}
    usable = [known[lesson.predictor, lesson.id] for lesson in lessons if (lesson.predictor, lesson.id) in known]
    if not usable and context.budget_used() >= 1:
        raise BudgetSpent
    return usable


def _solved(lesson: Lesson) -> dict[str, Any]:
    return {
        "task": lesson.task,
        "example": lesson.text,
        "figures": lesson.figures,
        "rationale": lesson.rationale,
        "answer": lesson.answer,
    }


def _explained(lesson: Lesson) -> dict[str, Any]:
    """The lecture where there is one: it is general, while a solution is about this example.

    The answer is left out where the lecture does not speak of it: it would only set examples apart that could share a
    reply.
    """
    known = lesson.lecture or lesson.rationale
    answer = lesson.answer if not lesson.lecture or mentions(lesson.lecture, lesson.answer) else ""
    return {"task": lesson.task, "kind": lesson.kind, "rationale": known, "answer": answer}
