"""Who proposes edits in a round of conflict resolution: the teacher, about contradictions, failures and length."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

import dspy

from pld_dspy.context import Context, Rules
from pld_dspy.examples import example_id
from pld_dspy.plugins import named
from pld_dspy.resolution.diagnosis import (
    FOLLOWED,
    Answered,
    Pair,
    asking,
    batches,
    describe,
    like_pairs,
    rule_named,
    strata_values,
    stratified,
)
from pld_dspy.rules import Edit, Proposal, RuleSet
from pld_dspy.student import answer, tasks_of
from pld_dspy.teacher import Teacher

log = logging.getLogger(__name__)

MOST_PAIRS = 10  # of like rules that the teacher is shown at once

Question = TypeVar("Question")


class Diagnosis(NamedTuple):
    """How many answers a round looks at; see `Resolution`."""

    diagnosed: int
    failures_per_call: int
    successes_per_call: int
    ask_rule: bool


class Round(NamedTuple):
    """A round of conflict resolution, as a proposer sees it.

    Attributes:
        number: from 1 on.
        rules: as they stand, by predictor.
        diagnosis: how many answers it looks at.
        refused: by predictor, the edits that were refused before and why, as text for the teacher.
    """

    number: int
    rules: Rules
    diagnosis: Diagnosis
    refused: Mapping[str, str]


class Proposer(Protocol):
    """Proposes edits. One is made anew for every compile, so that it may remember what it has asked.

    An outsider's is passed as `Resolution(proposers=[..., MyProposer])`, or registered under the entry-point group
    `pld_dspy.proposers` and named with `--proposer`; `pld_dspy.testing.check_proposer` tries it.

    Attributes:
        when_settled: whether it is asked only in a round in which those before it changed nothing.
    """

    when_settled: bool

    def propose(self, context: Context, teacher: Teacher, round: Round) -> list[Proposal]:
        """Edits of the rules as they stand; `teacher` is to be asked through `context.ask("teacher", ...)`."""


ProposerFactory = Callable[[], Proposer]


class Contradictions:
    """Asks the teacher about the rules that are most alike, each pair once."""

    when_settled = False

    def __init__(self) -> None:
        self._judged: set[Pair] = set()

    def propose(self, context: Context, teacher: Teacher, round: Round) -> list[Proposal]:
        """Edits that resolve contradictions between rules in the prompt."""
        tasks = tasks_of(context.student)
        questions = []
        for name, ruleset in context.in_prompt(round.rules).items():
            new = (pair for pair in like_pairs(ruleset, context.embed) if pair not in self._judged)
            if pairs := list(islice(new, MOST_PAIRS)):
                questions.append((name, pairs))

        def ask(question: tuple[str, list[Pair]]) -> Proposal:
            name, pairs = question
            listed = "\n\n".join(
                f"Pair {number}\n" + "\n".join(f"{id}: {text}" for id, text in pair)
                for number, pair in enumerate(pairs, start=1)
            )
            reply = teacher.contradictions(task=tasks[name], pairs=listed, rejected=round.refused[name])
            self._judged.update(pairs)
            return Proposal("contradiction", name, reply.edits or [])

        return _asked(context, ask, questions, f"Looking for contradictions, round {round.number}")


class Repairs:
    """Asks the teacher about the student's failures, a few at a time, for each predictor."""

    when_settled = False

    def propose(self, context: Context, teacher: Teacher, round: Round) -> list[Proposal]:
        """Edits that mend failures on training examples."""
        program, shown, tasks = context.build(round.rules), context.in_prompt(round.rules), tasks_of(context.student)
        answered = _answered(context, program, round)
        most = round.diagnosis.failures_per_call, round.diagnosis.successes_per_call
        questions = [
            (name, *batch) for name in round.rules for batch in batches(answered, name, program, round.rules, *most)
        ]

        def ask(question: tuple[str, list[Answered], list[Answered]]) -> Proposal:
            name, failures, successes = question
            failed, figures = describe(program, name, failures, 1)
            passed, more = describe(program, name, successes, 1 + len(figures))
            reply = teacher.resolve(
                task=tasks[name],
                rules=shown[name].render(ids=True),
                rejected=round.refused[name],
                failures=failed,
                successes=passed,
                figures=figures + more,
            )
            return Proposal("repair", name, reply.edits or [], [failure.example for failure in failures])

        return _asked(context, ask, questions, f"Asking for repairs, round {round.number}")


class Shortening:
    """Asks the teacher for shorter rules, once nothing else is left to change."""

    when_settled = True

    def propose(self, context: Context, teacher: Teacher, round: Round) -> list[Proposal]:
        """Edits that say the same in fewer words; an equal score is enough for them."""
        shown, tasks = context.in_prompt(round.rules), tasks_of(context.student)

        def ask(name: str) -> Proposal:
            rules = shown[name].render(ids=True)
            reply = teacher.compress(task=tasks[name], rules=rules, rejected=round.refused[name])
            return Proposal("compression", name, reply.edits or [], shortens=True, objection=_no_shortening)

        names = [name for name in shown if len(shown[name])]
        return _asked(context, ask, names, f"Shortening the rules, round {round.number}")


PROPOSERS: Mapping[str, ProposerFactory] = {
    "contradictions": Contradictions,
    "repairs": Repairs,
    "shortening": Shortening,
}


def proposers_of(proposers: Sequence[str | ProposerFactory]) -> list[Proposer]:
    """New proposers, by their names or made by functions.

    Raises:
        PLDError: there is none of a name.
    """
    return [
        named("proposers", proposer, PROPOSERS, "proposer")() if isinstance(proposer, str) else proposer()
        for proposer in proposers
    ]


def proposer_name(proposer: str | ProposerFactory) -> str:
    """What run.json says of a proposer."""
    return proposer if isinstance(proposer, str) else getattr(proposer, "__name__", type(proposer).__name__)


def _no_shortening(edit: Edit, rules: RuleSet) -> str | None:
    if not edit.kind.shortens:
        return "only merging and revising shorten rules without a loss"
    shorter = len(rules.apply([edit]).render()) < len(rules.render())
    return None if shorter else "does not make the rules shorter"


def _asked(
    context: Context, ask: Callable[[Question], Proposal], questions: Sequence[Question], purpose: str
) -> list[Proposal]:
    """What the teacher proposes; replies that cannot be used are left out with a warning."""
    outcomes = context.ask("teacher", ask, questions, purpose)
    if lost := [outcome.error for outcome in outcomes if outcome.value is None]:
        log.warning("%s: %d of %d replies could not be used: %s", purpose, len(lost), len(outcomes), lost[0])
    return [outcome.value for outcome in outcomes if outcome.value is not None]


def _answered(context: Context, program: dspy.Module, round: Round) -> list[Answered]:
    """Answers of training examples, drawn anew in each round."""
    strata = [strata_values(example, context.strata, round.rules) for example in context.trainset]
    drawn = stratified(strata, round.diagnosis.diagnosed, random.Random(f"{context.seed}/{round.number}"))
    sample = [context.trainset[position] for position in drawn]
    items = context.score(program, sample, f"Looking for failures, round {round.number}").items
    followed = _followed(context, sample, round) if round.diagnosis.ask_rule else [{}] * len(sample)
    answers = [Answered(*answer) for answer in zip(sample, items, followed, strict=True)]
    return [answer for answer in answers if answer.scored.score is not None]


def _followed(context: Context, sample: Sequence[dspy.Example], round: Round) -> list[Mapping[str, str]]:
    """The rules that the student says to have followed, by predictor, for each example."""
    program = asking(context.student, context.in_prompt(round.rules))
    names = {id(predictor): name for name, predictor in program.named_predictors()}

    def ask(example: dspy.Example) -> dict[str, str]:
        with dspy.context(trace=[]):
            answer(program, example)
            calls = [(names.get(id(predictor), ""), outputs) for predictor, _, outputs in dspy.settings.trace]
        return {
            name: rule_named(outputs.get(FOLLOWED, ""), round.rules[name])
            for name, outputs in calls
            if name in round.rules
        }

    outcomes = context.ask(
        "student", ask, sample, f"Asking which rules were followed, round {round.number}", example_id
    )
    return [outcome.value or {} for outcome in outcomes]
