"""What a phase of a compile may do, and the state that all phases share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import dspy
import numpy as np

from pld_dspy.examples import told_apart
from pld_dspy.models.embedders import AnyEmbedder, embed
from pld_dspy.rules import MicroRule, RuleSet, Step
from pld_dspy.run import Outcome, RunFolder, Runner, count_tokens
from pld_dspy.student import Evaluation, Evaluator, Metric, Routing, instruct, route, strata_of, tasks_of
from pld_dspy.teacher import Teacher

T = TypeVar("T")
R = TypeVar("R")

Rules = Mapping[str, RuleSet]  # by predictor name


class Version(NamedTuple):
    """A state of the rules, and what it came to on the validation set; None while that is not known."""

    rules: Rules
    validation: Evaluation | None = None

    @property
    def score(self) -> float | None:
        """Mean validation score."""
        return None if self.validation is None else self.validation.score


class Context(Protocol):
    """What a phase may do, and nothing else. A phase is a function of a context and data.

    Attributes:
        student: the program as it came; not to be changed.
        trainset: the examples that rules are written from and failures are looked for in.
        valset: the examples that decide.
        metric: scores an answer.
        strata: the fields of the examples that they are drawn by.
        teacher: the questions to the teacher's model; None where no model teaches.
        folder: the run folder, for what a phase keeps; without a path it keeps nothing.
        max_rule_tokens: budget of a predictor's rules in the student's prompt; None for no limit.
        display_progress: whether progress bars are shown.
        seed: of every draw.
    """

    student: dspy.Module
    trainset: Sequence[dspy.Example]
    valset: Sequence[dspy.Example]
    metric: Metric
    strata: Sequence[str]
    teacher: Teacher | None
    folder: RunFolder
    max_rule_tokens: int | None
    display_progress: bool
    seed: int

    def build(self, rules: Rules, budgets: int = 1) -> dspy.Module:
        """The student with the rules in its instructions that fit into so many token budgets."""

    def in_prompt(self, rules: Rules, budgets: int = 1) -> dict[str, RuleSet]:
        """These rules, by predictor."""

    def tokens(self, text: str) -> int:
        """Tokens of a text to the student."""

    def score(self, program: dspy.Module, examples: Sequence[dspy.Example], purpose: str) -> Evaluation:
        """Score a program, each wording on each example once; raises `BudgetSpent`."""

    def ask(
        self,
        role: str,
        question: Callable[[T], R],
        items: Sequence[T],
        purpose: str,
        id_of: Callable[[T], str] = lambda item: "",
    ) -> list[Outcome[R]]:
        """Call a function on many items side by side; its calls go to the model of the role and count as its calls.

        `id_of` is what the record of failures calls an item, as the id of an example.
        """

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Texts as unit vectors, n x d."""

    def keep(self, version: Version, first: bool = False) -> None:
        """Keep a version of the rules that may be returned; as the first one, in place of those that there are."""

    def note(self, step: Step) -> None:
        """Report what the gate made of an edit."""

    def budget_used(self) -> float:
        """The share of the budget that is used; from 1 on nothing is started any more."""


@dataclass
class Compile(Context):
    """The context of a real compile: models, budgets, scores that are remembered, and the run folder."""

    student: dspy.Module
    student_lm: dspy.BaseLM
    teacher: Teacher | None
    teacher_lm: dspy.BaseLM
    trainset: Sequence[dspy.Example]
    valset: Sequence[dspy.Example]
    metric: Metric
    embedder: AnyEmbedder
    runner: Runner
    folder: RunFolder
    max_rule_tokens: int | None = None
    rules_per_question: int | None = None  # None for all
    seed: int = 0
    versions: list[Version] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trainset = told_apart(self.trainset)
        self.strata = strata_of(self.student, self.trainset)
        self.display_progress = self.runner.display_progress
        # A run that is taken up again may only have questions left whose replies are of no use.
        self.runner.replies["teacher", True] += len(self.folder.lines("micro_rules.jsonl", MicroRule))
        self._evaluate = Evaluator(self.metric, self.runner, self.folder)

    def build(self, rules: Rules, budgets: int = 1) -> dspy.Module:
        shown, k = self.in_prompt(rules, budgets), self.rules_per_question
        program, tasks = instruct(self.student, shown), tasks_of(self.student)
        if k is None:
            return program
        texts = {name: tuple(rule.text for rule in ruleset.rules) for name, ruleset in shown.items()}
        routings = {name: Routing(k=k, embedder="", task=tasks[name], rules=texts[name]) for name in shown}
        return route(program, routings, self.embedder)

    def in_prompt(self, rules: Rules, budgets: int = 1) -> dict[str, RuleSet]:
        most = None if self.max_rule_tokens is None else budgets * self.max_rule_tokens
        return {name: ruleset.within(most, self.tokens) for name, ruleset in rules.items()}

    def tokens(self, text: str) -> int:
        return count_tokens(self.student_lm.model, text)

    def score(self, program: dspy.Module, examples: Sequence[dspy.Example], purpose: str) -> Evaluation:
        return self._evaluate(program, examples, purpose)

    def ask(
        self,
        role: str,
        question: Callable[[T], R],
        items: Sequence[T],
        purpose: str,
        id_of: Callable[[T], str] = lambda item: "",
    ) -> list[Outcome[R]]:
        model = {"lm": self.teacher_lm} if role == "teacher" else {}
        with dspy.context(**model):
            return self.runner.map(role, question, items, purpose, id_of)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return embed(list(texts), self.embedder)

    def keep(self, version: Version, first: bool = False) -> None:
        if first:
            self.versions.clear()
            self.folder.clear("rules")
        self.folder.write_rules(version.rules, len(self.versions))
        self.folder.status("running", self.runner.usage())
        self.versions.append(version)

    def note(self, step: Step) -> None:
        self.steps.append(step)
        self.folder.write("edits.jsonl", "".join(f"{noted.model_dump_json()}\n" for noted in self.steps))

    def budget_used(self) -> float:
        return self.runner.share_used()

    @contextmanager
    def on_record(self) -> Iterator[None]:
        """Say in run.json how what is done here ended, if it did not end well."""
        try:
            yield
        except BaseException as error:
            status = "stopped" if isinstance(error, KeyboardInterrupt) else f"failed: {error}"
            self.folder.status(status, self.runner.usage())
            raise

    def validate(self, place: int) -> None:
        """Score a version again: one that has no score yet, or some examples without a reply."""
        rules = self.versions[place].rules
        self.versions[place] = Version(rules, self.score(self.build(rules), self.valset, "Validating"))
