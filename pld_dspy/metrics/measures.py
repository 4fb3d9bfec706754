"""Measures beside a program's metric: what `pld evaluate` adds to a benchmark's table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import dspy

from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id
from pld_dspy.run.runner import Runner

TRIAL = dspy.Example(question="What is two plus two?", answer="four").with_inputs("question")


class MeasureScores(NamedTuple):
    """What a measure gives to some answers."""

    examples: list[float]  # a score for each answer, in their order
    overall: float | None = None  # of the whole set, where that is not their mean


class Measure(Protocol):
    """Scores answers that are there already, in a column of the table with a heading.

    A package adds one to `pld evaluate --measure NAME` by the entry point NAME in the group `pld_dspy.measures`.
    """

    heading: str

    def check(self, examples: Sequence[dspy.Example], runner: Runner) -> None:
        """Show what is missing before the student is asked: labels, packages, a model; here by trying a question."""
        gold_answers(examples)
        self.score([TRIAL], ["4"], runner)

    def score(self, examples: Sequence[dspy.Example], answers: Sequence[str | None], runner: Runner) -> MeasureScores:
        """Score the student's answers to examples, None where a reply could not be read; PLDError if they cannot be.

        The runner makes and counts the calls of a measure that asks a model.
        """
        ...


@dataclass(frozen=True)
class TextMeasure(Measure):
    """A measure of texts beside gold answers; no answer counts as an empty one."""

    heading: str
    compare: Callable[[Sequence[str], Sequence[str]], MeasureScores]  # from candidates and references

    def score(self, examples: Sequence[dspy.Example], answers: Sequence[str | None], runner: Runner) -> MeasureScores:
        """Compare each answer with its gold answer."""
        return self.compare([answer or "" for answer in answers], gold_answers(examples))


def gold_answers(examples: Sequence[dspy.Example]) -> list[str]:
    """The examples' labels `answer`; PLDError if one has none."""
    for example in examples:
        if not example.get("answer"):
            raise PLDError(f"Example {example_id(example)} has no label `answer` to compare an answer with.")
    return [str(example.answer) for example in examples]
