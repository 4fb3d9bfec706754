"""Scoring a program on examples, each example once for each wording of the program."""

import math
from collections.abc import Sequence

import dspy
from pydantic import BaseModel

from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id, written
from pld_dspy.identity import Texts, digest, fingerprint, metric_fingerprint, program_fingerprint
from pld_dspy.rules.wording import Text
from pld_dspy.run import NOT_RUN, BudgetSpent, RunFolder, Runner
from pld_dspy.student.program import Metric, in_words, outputs_of

OUTPUT_CHARACTERS = 4_000  # of an output field that are kept
PASSED = 0.5  # a score from which an answer counts as a success in diagnosis


class Scored(BaseModel):
    """One example under one wording of the program: a line of evaluations.jsonl."""

    purpose: str
    program: str  # fingerprint of the program and the metric
    example: str  # id
    content: str  # fingerprint of the example
    score: float
    answer: Text = ""  # in words
    outputs: dict[str, Text] = {}  # by output field
    prompt_tokens: int | None = None  # as reported by the model; None where DSPy's cache answered
    error: Text | None = None

    @property
    def passed(self) -> bool:
        return self.score >= PASSED


class Evaluation(BaseModel):
    """A program's scores on some examples, in their order."""

    items: list[Scored]

    @property
    def scores(self) -> list[float]:
        """The score of each example."""
        return [item.score for item in self.items]

    @property
    def score(self) -> float:
        """Mean score, a fraction; the same in any order of the examples."""
        return math.fsum(self.scores) / len(self.items)

    @property
    def errors(self) -> int:
        return sum(item.error is not None for item in self.items)

    @property
    def prompt_tokens(self) -> float | None:
        """Mean input tokens of a question, over those whose count a model reported; None where none was."""
        known = [item.prompt_tokens for item in self.items if item.prompt_tokens is not None]
        return sum(known) / len(known) if known else None


class Evaluator:
    """Scores programs, and remembers every score: the same wording never meets the same example twice.

    Args:
        metric: `metric(example, prediction)` → a fraction or a truth value, as everywhere in DSPy.
        runner: makes the calls.
        folder: the run folder, which has the scores of an interrupted run and keeps every new one; where a call had
            failed, the example is asked again. None to keep nothing.
    """

    def __init__(self, metric: Metric, runner: Runner, folder: RunFolder | None = None) -> None:
        self._metric, self._scores_by = metric, metric_fingerprint(metric)
        self._first_seen: Texts = {}
        self._runner = runner
        self._meter = runner.meter("student")
        self._folder = folder or RunFolder(None)
        known = self._folder.lines("evaluations.jsonl", Scored)
        self._known = {(scored.program, scored.content): scored for scored in known if scored.error is None}

    def __call__(self, program: dspy.Module, examples: Sequence[dspy.Example], description: str) -> Evaluation:
        """Score a program; `description` is the progress bar's text and the scores' `purpose`.

        A reply that cannot be read, or an input that the model refuses, scores 0 and keeps its `error`.

        Raises:
            PLDError: the metric raises or returns no number, or the model does not answer.
            BudgetSpent: the runner's budget ended first; what was scored until then is remembered.
        """
        wording = digest(f"{program_fingerprint(program, self._first_seen)} {self._scores_by}")
        keys = [(wording, fingerprint(example)) for example in examples]
        new = {key: example for key, example in zip(keys, examples, strict=True) if key not in self._known}

        def score(item: tuple[tuple[str, str], dspy.Example]) -> None:
            key, example = item
            self._remember(self._score(program, example, key, description))

        with dspy.context(usage_tracker=self._meter):
            outcomes = self._runner.map(score, list(new.items()), description)
        for (key, example), outcome in zip(new.items(), outcomes, strict=True):
            if outcome.error not in (None, NOT_RUN):
                failed = Scored(
                    purpose=description,
                    program=wording,
                    example=example_id(example),
                    content=key[1],
                    score=0.0,
                    error=outcome.error,
                )
                self._remember(failed)
        if any(outcome.error == NOT_RUN for outcome in outcomes):
            raise BudgetSpent
        return Evaluation(items=[self._known[key] for key in keys])

    def _remember(self, scored: Scored) -> None:
        self._known[(scored.program, scored.content)] = scored
        self._folder.append("evaluations.jsonl", scored)

    def _score(self, program: dspy.Module, example: dspy.Example, key: tuple[str, str], purpose: str) -> Scored:
        meter = self._meter.child()
        with dspy.context(usage_tracker=meter):
            prediction = program(**example.inputs())
        score = score_of(self._metric, example, prediction)
        tokens = sum(usage.prompt_tokens for usage in meter.by_model().values())
        return Scored(
            purpose=purpose,
            program=key[0],
            example=example_id(example),
            content=key[1],
            score=score,
            answer=in_words(program, example, prediction),
            outputs={
                name: written(prediction[name])[:OUTPUT_CHARACTERS]
                for name in prediction
                if name in outputs_of(program)
            },
            prompt_tokens=tokens or None,
        )


def score_of(metric: Metric, example: dspy.Example, prediction: dspy.Prediction) -> float:
    """A metric's score of one answer.

    Raises:
        PLDError: the metric raises, or returns no finite number.
    """
    try:
        score = float(metric(example, prediction))
    except Exception as error:
        name = getattr(metric, "__name__", type(metric).__name__)
        raise PLDError(f"The metric {name} failed on example {example_id(example)}: {error!r}.") from error
    if not math.isfinite(score):
        raise PLDError(f"The metric gave {score} on example {example_id(example)}, which is no score.")
    return score
