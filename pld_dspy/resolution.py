"""Phase 3: the teacher repairs the rules against the student's failures, and a gate on validation data decides."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import dspy
from pydantic import BaseModel

from pld_dspy.evaluation import Evaluation, Evaluator, in_words
from pld_dspy.examples import example_id, present
from pld_dspy.rules import Edit, RuleSet
from pld_dspy.runner import Runner
from pld_dspy.teacher import Teacher
from pld_dspy.wording import flaw

Rules = Mapping[str, RuleSet]  # by predictor name
Answered = tuple[dspy.Example, str]  # an example and the student's answer in words


class Proposal(NamedTuple):
    """Edits of one predictor's rules, and the failures they are to mend."""

    predictor: str
    edits: list[Edit]
    failures: list[str]


class Step(BaseModel):
    """What the gate decided on one proposal."""

    iteration: int
    predictor: str
    edits: list[Edit]
    failures: list[str]
    before: float
    after: float
    accepted: bool


@dataclass(frozen=True)
class Resolver:
    """Conflict resolution and what it needs.

    `build` puts rules into the student. `trainset` gives the failures and successes that the teacher sees, `valset`
    only the score that the gate compares, so that no edit is judged on the questions it was written for.
    """

    build: Callable[[Rules], dspy.Module]
    evaluate: Evaluator
    teacher: Teacher
    teacher_context: Callable[[], AbstractContextManager]
    runner: Runner
    trainset: Sequence[dspy.Example]
    valset: Sequence[dspy.Example]
    seed: int = 0
    max_iterations: int = 3
    diagnosed: int = 40  # training examples that are answered under each version to find failures
    failures_per_call: int = 5
    successes_per_call: int = 3

    def resolve(self, rules: Rules, accept: Callable[[Rules], None], report: Callable[[Step], None]) -> Rules:
        """Run the loop until an iteration changes nothing or `max_iterations` is reached.

        Args:
            rules: the clustered rules.
            accept: called with every accepted version.
            report: called with every decision of the gate.

        Returns:
            The last accepted version: its validation score is not below the first one's.
        """
        best = dict(rules)
        score = self.evaluate(self.build(best), self.valset, "Validating the clustered rules").score
        for iteration in range(1, self.max_iterations + 1):
            changed = False
            for proposal in self._proposals(best, iteration):
                edits = applicable(proposal.edits, best[proposal.predictor])
                if not edits:
                    continue
                edited = best[proposal.predictor].apply(edits, proposal.failures)
                candidate = {**best, proposal.predictor: edited}
                after = self.evaluate(self.build(candidate), self.valset, f"Validating version {edited.version}").score
                accepted = after >= score
                report(
                    Step(
                        iteration=iteration,
                        predictor=proposal.predictor,
                        edits=edits,
                        failures=proposal.failures,
                        before=score,
                        after=after,
                        accepted=accepted,
                    )
                )
                if accepted:
                    best, score, changed = candidate, after, True
                    accept(best)
            if not changed:
                break
        return best

    def _proposals(self, rules: Rules, iteration: int) -> list[Proposal]:
        """Ask the teacher about the failures under `rules`, a few at a time, for each predictor."""
        rng = random.Random(f"{self.seed}/{iteration}")
        sample = rng.sample(list(self.trainset), min(self.diagnosed, len(self.trainset)))
        program = self.build(rules)
        evaluation = self.evaluate(program, sample, f"Looking for failures, round {iteration}")
        tasks = {name: predictor.signature.instructions for name, predictor in self.build({}).named_predictors()}
        questions = [
            (name, failures, successes) for failures, successes in self._batches(sample, evaluation) for name in rules
        ]

        def ask(question: tuple[str, list[Answered], list[Answered]]) -> Proposal:
            name, failures, successes = question
            failed, figures = describe(program, failures, 1)
            passed, more = describe(program, successes, 1 + len(figures))
            reply = self.teacher.resolve(
                task=tasks[name],
                rules=rules[name].render(ids=True),
                failures=failed,
                successes=passed,
                figures=figures + more,
            )
            return Proposal(name, reply.edits or [], [example_id(example) for example, _ in failures])

        with self.teacher_context():
            outcomes = self.runner.map(ask, questions, f"Asking for repairs, round {iteration}")
        return [outcome.value for outcome in outcomes if outcome.value is not None]

    def _batches(
        self, sample: Sequence[dspy.Example], evaluation: Evaluation
    ) -> Iterator[tuple[list[Answered], list[Answered]]]:
        answered = [(example, item.answer) for example, item in zip(sample, evaluation.items, strict=True)]
        passed = [item.passed for item in evaluation.items]
        failures = [pair for pair, ok in zip(answered, passed, strict=True) if not ok]
        successes = [pair for pair, ok in zip(answered, passed, strict=True) if ok]
        for start in range(0, len(failures), self.failures_per_call):
            number = start // self.failures_per_call * self.successes_per_call
            rotated = successes[number:] + successes[:number]
            yield failures[start : start + self.failures_per_call], rotated[: self.successes_per_call]


def applicable(edits: Sequence[Edit], rules: RuleSet) -> list[Edit]:
    """The edits that can be made and change something: their rules are still there when their turn comes, and their
    text is a rule that the rule set does not have yet."""
    kept: list[Edit] = []
    for edit in edits:
        there = {rule.id for rule in rules.rules}
        untouched = {rule.text for rule in rules.rules if edit.operation != "merge" or rule.id not in edit.ids}
        new_text = edit.operation == "delete" or (not flaw(edit.text) and " ".join(edit.text.split()) not in untouched)
        if new_text and set(edit.ids) <= there:
            rules = rules.apply([edit])
            kept.append(edit)
    return kept


def describe(program: dspy.Module, answered: Sequence[Answered], first_figure: int) -> tuple[str, list[dspy.Image]]:
    """Questions with the student's and the right answer as text, and their figures, numbered on."""
    texts: list[str] = []
    figures: list[dspy.Image] = []
    for number, (example, answer) in enumerate(answered, start=1):
        case = present(dict(example.inputs()), first_figure + len(figures))
        figures += case.figures
        right = in_words(program, example, example.labels())
        texts.append(
            f"Question {number}\n{case.text}\nthe model's answer: {answer or 'unreadable'}\nthe right answer: {right}"
        )
    return "\n\n".join(texts) or "none", figures
