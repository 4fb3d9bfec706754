"""Phase 3: the teacher repairs the rules, edit by edit, and a gate on validation data decides about each."""

import logging
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar, get_args

import dspy

from pld_dspy.clustering import Embedder
from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id
from pld_dspy.resolution.diagnosis import (
    FOLLOWED,
    Answered,
    Pair,
    Rules,
    asking,
    batches,
    describe,
    like_pairs,
    rule_named,
    strata_values,
    stratified,
)
from pld_dspy.resolution.gates import Gate, Strictness, Verdict
from pld_dspy.rules import RuleSet
from pld_dspy.rules.edits import Edit
from pld_dspy.rules.steps import SAID, SHORTENING, Proposal, Step, obstacle
from pld_dspy.rules.wording import quotation
from pld_dspy.run.runner import Runner
from pld_dspy.student.evaluation import Evaluator
from pld_dspy.teacher import Teacher

log = logging.getLogger(__name__)

COPIED_WORDS = 12  # as many words of a demonstration's rule in a row are a copy
MOST_PAIRS = 10  # of like rules that the teacher is shown at once
MOST_REJECTED = 20  # edits that it is reminded of, the latest ones

Question = TypeVar("Question")


@dataclass(frozen=True)
class Resolution:
    """How conflicts are resolved.

    Attributes:
        gate: "positive" takes an edit whose paired gain on the validation set is above zero, "significant" asks for a
            p-value below 0.05 besides, "off" takes every edit unseen and returns the last version, as the paper's loop
            does: for comparison.
        diagnosed: training examples that are answered in each round to find failures.
        failures_per_call: failures that the teacher is shown at once.
        successes_per_call: successes that it is shown beside them.
        ask_rule: ask the student in diagnosis, by a further call, which rule it followed.
        prune: measure every rule's use at the end, and take out harmful and idle ones.
    """

    gate: Strictness = "positive"
    diagnosed: int = 40
    failures_per_call: int = 5
    successes_per_call: int = 3
    ask_rule: bool = False
    prune: bool = True

    def __post_init__(self) -> None:
        if self.gate not in get_args(Strictness):
            raise PLDError(f"The gate is {', '.join(get_args(Strictness))}, not {self.gate!r}.")
        for name, least in (("diagnosed", 1), ("failures_per_call", 1), ("successes_per_call", 0)):
            if getattr(self, name) < least:
                raise PLDError(f"{name} is at least {least}, not {getattr(self, name)!r}.")


@dataclass
class Resolver:
    """Conflict resolution and what it needs.

    `build` puts rules into the student. `trainset` gives the failures and successes that the teacher sees; the gate's
    validation set only decides, so that no edit is judged on the questions it was written for.
    """

    build: Callable[[Rules], dspy.Module]
    in_prompt: Callable[[Rules], Rules]
    evaluate: Evaluator
    gate: Gate
    teacher: Teacher
    teacher_context: Callable[[], AbstractContextManager]
    runner: Runner
    embedder: Embedder
    trainset: Sequence[dspy.Example]
    strata: Sequence[str]  # fields of the training examples that the diagnosed ones are drawn by
    accept: Callable[[Rules, Verdict], None]  # called with every accepted version
    report: Callable[[Step], None]  # called with every decision
    how: Resolution = field(default_factory=Resolution)
    seed: int = 0
    tasks: dict[str, str] = field(init=False)  # by predictor
    demonstrations: str = field(init=False)  # which small teachers copy into their edits
    tried: dict[tuple[object, ...], Step] = field(default_factory=dict)  # by the edit and what it was to change
    compared: set[Pair] = field(default_factory=set)  # that the teacher has judged

    def __post_init__(self) -> None:
        demos = [demo for predictor in self.teacher.predictors() for demo in predictor.demos]
        self.tasks = {name: of.signature.instructions for name, of in self.build({}).named_predictors()}
        edits = [edit for demo in demos for edit in demo.get("edits", [])]
        texts = [str(demo.get("rule", "")) for demo in demos] + [text for edit in edits for text in edit.wordings]
        self.demonstrations = "\n".join(texts)

    def resolve(self, rules: Rules, max_iterations: int) -> Rules:
        """Look for contradictions and failures, let the teacher propose edits, and take those that the gate lets pass.

        A round that changes nothing is followed by one that makes the rules shorter at equal score; the loop ends when
        that changes nothing either, or after `max_iterations` rounds.

        Args:
            rules: the clustered rules.
            max_iterations: rounds.

        Returns:
            The last accepted version.

        Raises:
            BudgetSpent: the budget ended first; what was accepted until then was reported.
        """
        for iteration in range(1, max_iterations + 1):
            before = rules
            for find in (self._contradictions, self._repairs):
                rules = self._settle(rules, find(rules, iteration), iteration)
            if rules is before and self.how.gate != "off":
                rules = self._settle(rules, self._compressions(rules, iteration), iteration)
            if rules is before:
                break
        return rules

    def _settle(self, rules: Rules, proposals: Sequence[Proposal], iteration: int) -> Rules:
        for proposal in proposals:
            for edit in proposal.edits:
                rules = self.consider(rules, proposal._replace(edits=[edit]), iteration)
        return rules

    def consider(self, rules: Rules, proposal: Proposal, iteration: int) -> Rules:
        """Put the one edit of a proposal to the gate, and return the rules as they stand then."""
        [edit], name = proposal.edits, proposal.predictor
        shorter = proposal.purpose in SHORTENING
        meant = () if edit.wordings else tuple(rule.text for rule in rules[name].rules if rule.id in edit.ids)
        key = (name, edit.gist, meant)
        earlier = self.tried.get(key)
        if earlier and proposal.purpose != "pruning" and (not shorter or earlier.final):
            return rules
        problem = obstacle(edit, rules[name])
        taken = any(step.verdict.accepted and step.edit.gist == edit.gist for step in self.tried.values())
        if problem == SAID and taken:
            return rules  # proposed for other failures, too
        if any(quotation(text, self.demonstrations, COPIED_WORDS) for text in edit.wordings):
            problem = "copies the demonstration of another task"
        if proposal.purpose == "compression" and problem is None:
            problem = self._no_shortening(edit, rules[name])
        failures = [example_id(example) for example in proposal.failures]
        step = Step(
            iteration=iteration,
            purpose=proposal.purpose,
            predictor=name,
            edit=edit,
            before=[rule.text for rule in rules[name].rules if rule.id in edit.ids],
            failures=failures,
            authors=sorted({author for rule in rules[name].rules if rule.id in edit.ids for author in rule.authors}),
            verdict=Verdict(accepted=False, why=problem or ""),
        )
        if problem is None:
            candidate = {**rules, name: rules[name].apply([edit], failures)}
            verdict = self.gate.judge(
                self.build(rules),
                self.build(candidate),
                proposal.failures,
                equal_is_enough=shorter,
                at_once=proposal.purpose == "pruning",
            )
            step = step.model_copy(update={"verdict": verdict})
        self.tried[key] = step
        self.report(step)
        if not step.verdict.accepted:
            return rules
        self.accept(candidate, verdict)
        return candidate

    def _no_shortening(self, edit: Edit, rules: RuleSet) -> str | None:
        if edit.operation not in ("merge", "revise"):
            return "only merging and revising shorten rules without a loss"
        shorter = len(rules.apply([edit]).render()) < len(rules.render())
        return None if shorter else "does not make the rules shorter"

    def _contradictions(self, rules: Rules, iteration: int) -> list[Proposal]:
        """Ask the teacher about the rules that are most alike, each pair once."""
        questions = []
        for name, of in self.in_prompt(rules).items():
            new = (pair for pair in like_pairs(of, self.embedder) if pair not in self.compared)
            if pairs := list(islice(new, MOST_PAIRS)):
                questions.append((name, pairs))

        def ask(question: tuple[str, list[Pair]]) -> Proposal:
            name, pairs = question
            told = "\n\n".join(
                f"Pair {number}\n" + "\n".join(f"{id}: {text}" for id, text in pair)
                for number, pair in enumerate(pairs, start=1)
            )
            reply = self.teacher.contradictions(task=self.tasks[name], pairs=told, rejected=self._reminder(name))
            self.compared.update(pairs)
            return Proposal("contradiction", name, reply.edits or [])

        return self._ask(ask, questions, f"Looking for contradictions, round {iteration}")

    def _repairs(self, rules: Rules, iteration: int) -> list[Proposal]:
        """Ask the teacher about the failures under `rules`, a few at a time, for each predictor."""
        program, shown = self.build(rules), self.in_prompt(rules)
        answered = self._answered(program, rules, iteration)
        questions = [
            (name, *batch)
            for name in rules
            for batch in batches(
                answered, name, program, rules, self.how.failures_per_call, self.how.successes_per_call
            )
        ]

        def ask(question: tuple[str, list[Answered], list[Answered]]) -> Proposal:
            name, failures, successes = question
            failed, figures = describe(program, name, failures, 1)
            passed, more = describe(program, name, successes, 1 + len(figures))
            reply = self.teacher.resolve(
                task=self.tasks[name],
                rules=shown[name].render(ids=True),
                rejected=self._reminder(name),
                failures=failed,
                successes=passed,
                figures=figures + more,
            )
            return Proposal("repair", name, reply.edits or [], [each.example for each in failures])

        return self._ask(ask, questions, f"Asking for repairs, round {iteration}")

    def _compressions(self, rules: Rules, iteration: int) -> list[Proposal]:
        """Ask the teacher for shorter rules."""

        shown = self.in_prompt(rules)

        def ask(name: str) -> Proposal:
            reply = self.teacher.compress(
                task=self.tasks[name], rules=shown[name].render(ids=True), rejected=self._reminder(name)
            )
            return Proposal("compression", name, reply.edits or [])

        return self._ask(ask, [name for name in shown if len(shown[name])], f"Shortening the rules, round {iteration}")

    def _ask(
        self, ask: Callable[[Question], Proposal], questions: Sequence[Question], description: str
    ) -> list[Proposal]:
        with self.teacher_context():
            outcomes = self.runner.map(ask, questions, description)
        if lost := [outcome.error for outcome in outcomes if outcome.value is None]:
            log.warning("%s: %d of %d replies could not be used: %s", description, len(lost), len(outcomes), lost[0])
        return [outcome.value for outcome in outcomes if outcome.value is not None]

    def _answered(self, program: dspy.Module, rules: Rules, iteration: int) -> list[Answered]:
        """Answers of training examples, drawn anew in each round."""
        strata = [strata_values(example, self.strata, rules) for example in self.trainset]
        drawn = stratified(strata, self.how.diagnosed, random.Random(f"{self.seed}/{iteration}"))
        sample = [self.trainset[position] for position in drawn]
        items = self.evaluate(program, sample, f"Looking for failures, round {iteration}").items
        if not self.how.ask_rule:
            return [Answered(example, item) for example, item in zip(sample, items, strict=True)]
        asked = asking(self.build({}), self.in_prompt(rules))
        names = {id(predictor): name for name, predictor in asked.named_predictors()}

        def ask(example: dspy.Example) -> dict[str, str]:
            with dspy.context(trace=[], usage_tracker=self.runner.student):
                asked(**example.inputs())
                calls = [(names.get(id(predictor), ""), said) for predictor, _, said in dspy.settings.trace]
            return {name: rule_named(said.get(FOLLOWED, ""), rules[name]) for name, said in calls if name in rules}

        outcomes = self.runner.map(ask, sample, f"Asking which rules were followed, round {iteration}")
        return [
            Answered(example, item, outcome.value or {})
            for example, item, outcome in zip(sample, items, outcomes, strict=True)
        ]

    def _reminder(self, predictor: str) -> str:
        refused = [step for step in self.tried.values() if step.predictor == predictor and not step.verdict.accepted]
        latest = refused[-MOST_REJECTED:]
        return "\n".join(f"{step.edit} ({step.verdict.why})" for step in latest)
