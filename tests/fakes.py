"""A context of the phases without budgets, threads and a student's model."""

from collections.abc import Callable
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from pld_dspy.context import Context
from pld_dspy.models.embedders import tfidf
from pld_dspy.run import Outcome, RunFolder
from pld_dspy.student import Evaluation, Scored, exact_match, instruct
from pld_dspy.teacher import Teacher


def nothing_right(program: Any, example: dspy.Example) -> float:
    """Scores of a student that nothing helps."""
    return 0.0


def texts_in(program: dspy.Module) -> list[str]:
    """The rules in the instructions of a program with one predictor, in their order."""
    lines = program.signature.instructions.splitlines()
    return [line.removeprefix("- ") for line in lines if line.startswith("- ")]


class FakeContext(Context):
    """What a phase may do: programs are scored by `scores(program, example)`, and `lm` answers for both roles.

    `versions`, `steps` and `scored` are what a phase has kept, noted, and had scored (program, purpose, ids).
    """

    def __init__(self, scores: Callable[[Any, dspy.Example], float] = nothing_right, lm=None, **attributes):
        self.student, self.teacher, self.metric = dspy.Predict("question -> answer"), Teacher(), None
        self.trainset, self.valset, self.strata, self.seed = [], [], (), 0
        self.folder, self.max_rule_tokens, self.display_progress = RunFolder(None), None, False
        self.most_rules = None  # of a token budget
        self.__dict__.update(attributes)
        self.metric = self.metric or exact_match(self.student)
        self.scores, self.lm = scores, lm
        self.versions, self.steps, self.scored = [], [], []

    def build(self, rules, budgets=1):
        return instruct(self.student, self.in_prompt(rules, budgets))

    def in_prompt(self, rules, budgets=1):
        most = None if self.most_rules is None else budgets * self.most_rules
        return {name: ruleset.keep([rule.id for rule in ruleset.rules][:most]) for name, ruleset in rules.items()}

    def tokens(self, text):
        return len(text.split())

    def score(self, program, examples, purpose):
        ids = [str(example.get("id")) for example in examples]
        self.scored.append((program, purpose, ids))
        values = [float(self.scores(program, example)) for example in examples]
        items = [
            Scored(purpose=purpose, program="", example=id, content="", score=value)
            for id, value in zip(ids, values, strict=True)
        ]
        return Evaluation(items=items)

    def ask(self, role, question, items, purpose, id_of=None):
        def outcome(item):
            try:
                return Outcome(question(item))
            except AdapterParseError:
                return Outcome(None, "unreadable reply")

        with dspy.context(**({"lm": self.lm} if self.lm else {})):
            return [outcome(item) for item in items]

    def embed(self, texts):
        return tfidf(list(texts))

    def keep(self, version, first=False):
        self.versions = [version] if first else [*self.versions, version]

    def note(self, step):
        self.steps.append(step)

    def budget_used(self):
        return 0.0
