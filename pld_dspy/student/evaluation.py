"""Scoring a program on examples, each example once for each wording of the program."""

import logging
import math
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import dspy
from dspy.utils.exceptions import LMError
from pydantic import BaseModel

from pld_dspy.errors import ExampleError, PLDError, brief
from pld_dspy.examples import example_id, written
from pld_dspy.identity import Texts, digest, fingerprint, metric_fingerprint, program_fingerprint
from pld_dspy.rules.wording import Text
from pld_dspy.run import NOT_RUN, BudgetSpent, RunFolder, Runner
from pld_dspy.run.runner import ADVICE
from pld_dspy.student.inputs import answer
from pld_dspy.student.program import Metric, in_words, outputs_of

log = logging.getLogger(__name__)

OUTPUT_CHARACTERS = 4_000  # of an output field that are kept
PASSED = 0.5  # a score from which an answer counts as a success in diagnosis


class Scored(BaseModel):
    """One example under one wording of the program: a line of evaluations.jsonl."""

    purpose: str
    program: str  # fingerprint of the program and the metric
    example: str  # id
    content: str  # fingerprint of the example
    score: float | None  # None where there was no reply to score
    answer: Text = ""  # in words
    outputs: dict[str, Text] = {}  # by output field
    prompt_tokens: int | None = None  # as reported by the model; None where DSPy's cache answered
    error: Text | None = None
    feedback: Text = ""  # of the metric

    @property
    def passed(self) -> bool:
        return self.score is not None and self.score >= PASSED


class Evaluation(BaseModel):
    """A program's scores on some examples, in their order. What got no reply has no score, and counts nowhere."""

    items: list[Scored]

    @property
    def scores(self) -> list[float]:
        """The score of each example; NaN where there was no reply."""
        return [math.nan if item.score is None else item.score for item in self.items]

    @property
    def score(self) -> float:
        """Mean score of what was answered, a fraction; the same in any order of the examples."""
        known = [item.score for item in self.items if item.score is not None]
        return math.fsum(known) / len(known)

    @property
    def failed(self) -> int:
        """Examples without a reply."""
        return sum(item.score is None for item in self.items)

    def answered(self, examples: Sequence[dspy.Example]) -> tuple[list[dspy.Example], list[Scored]]:
        """The examples with a reply, and what came of them."""
        places = [place for place, item in enumerate(self.items) if item.score is not None]
        return [examples[place] for place in places], [self.items[place] for place in places]

    @property
    def errors(self) -> int:
        """Examples whose reply could not be used, which scores 0."""
        return sum(item.error is not None for item in self.items) - self.failed

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
        self._warned = False
        known = self._folder.lines("evaluations.jsonl", Scored)
        self._known = {(scored.program, scored.content): scored for scored in known if scored.error is None}
        runner.replies["student", True] += len(self._known)

    def __call__(self, program: dspy.Module, examples: Sequence[dspy.Example], description: str) -> Evaluation:
        """Score a program; `description` is the progress bar's text and the scores' `purpose`.

        A reply that cannot be read, that the program or the metric cannot work with, or an input that is too long for
        the model scores 0 and keeps its `error`. Where there is no reply, there is no score, and the next call for the
        same example asks again.

        Raises:
            PLDError: as `Runner.map`; or not one example has a score.
            BudgetSpent: the runner's budget ended first; what was scored until then is remembered.
        """
        wording = digest(f"{program_fingerprint(program, self._first_seen)} {self._scores_by}")
        keys = [(wording, fingerprint(example)) for example in examples]
        new = {key: example for key, example in zip(keys, examples, strict=True) if key not in self._known}

        def score(item: tuple[tuple[str, str], dspy.Example]) -> None:
            key, example = item
            self._remember(self._score(program, example, key, description))

        outcomes = self._runner.map(
            "student", score, list(new.items()), description, id_of=lambda item: example_id(item[1])
        )
        unanswered: dict[tuple[str, str], Scored] = {}
        for (key, example), outcome in zip(new.items(), outcomes, strict=True):
            if outcome.error not in (None, NOT_RUN):
                scored = Scored(
                    purpose=description,
                    program=wording,
                    example=example_id(example),
                    content=key[1],
                    score=None if outcome.failed else 0.0,
                    error=outcome.error,
                )
                if outcome.failed:
                    unanswered[key] = scored
                else:
                    self._remember(scored)
        if any(outcome.error == NOT_RUN for outcome in outcomes):
            raise BudgetSpent
        evaluation = Evaluation(items=[unanswered.get(key) or self._known[key] for key in keys])
        if examples and evaluation.failed == len(examples):
            reason = evaluation.items[0].error
            raise PLDError(f"The student's model gives no reply to {len(examples)} questions: {reason}; {ADVICE}")
        return evaluation

    def _remember(self, scored: Scored) -> None:
        self._known[(scored.program, scored.content)] = scored
        self._folder.append("evaluations.jsonl", scored)

    def _score(self, program: dspy.Module, example: dspy.Example, key: tuple[str, str], purpose: str) -> Scored:
        meter = self._meter.child()
        with dspy.context(usage_tracker=meter):
            prediction = answer(program, example)
        score, feedback = judged(self._metric, example, prediction)
        if not 0 <= score <= 1 and not self._warned:
            self._warned = True
            log.warning("The metric gave %g on example %s: scores should be from 0 to 1.", score, example_id(example))
        given = outputs_of(program)
        tokens = sum(usage.prompt_tokens for usage in meter.by_model().values())
        return Scored(
            purpose=purpose,
            program=key[0],
            example=example_id(example),
            content=key[1],
            score=score,
            feedback=feedback,
            answer=in_words(program, example, prediction),
            outputs={name: written(prediction[name])[:OUTPUT_CHARACTERS] for name in prediction if name in given},
            prompt_tokens=tokens or None,
        )


def score_of(metric: Metric, example: dspy.Example, prediction: dspy.Prediction) -> float:
    """A metric's score of one answer; raises as `judged`."""
    return judged(metric, example, prediction)[0]


def judged(metric: Metric, example: dspy.Example, prediction: dspy.Prediction) -> tuple[float, str]:
    """A metric's score of one answer, and its feedback if it gives some.

    A metric may have the arguments that metrics have anywhere in DSPy, a trace and names among them, and give a number,
    a truth value, or these as the `score` of a dictionary or a prediction, beside a `feedback`.

    Raises:
        ExampleError: the metric raises, or returns no finite number.
        dspy.utils.exceptions.LMError: a model that the metric asks does not answer.
    """
    name = getattr(metric, "__name__", type(metric).__name__)
    try:
        found: Any = metric(*[example, prediction, None, None, None][: _taken(metric)])
        several = isinstance(found, Mapping | dspy.Prediction)
        feedback = str(found.get("feedback") or "")[:OUTPUT_CHARACTERS] if several else ""
        value = found.get("score") if several else found
        if value is None:
            raise ValueError(f"it returned {brief(repr(found))} instead of a number from 0 to 1")
        score = float(value)
    except LMError:
        raise
    except Exception as error:
        raise ExampleError(f"The metric {name} failed on example {example_id(example)}: {error!r}.") from error
    if not math.isfinite(score):
        raise ExampleError(f"The metric gave {score} on example {example_id(example)}, which is no score.")
    return score, feedback


def _taken(metric: Metric) -> int:
    """How many arguments a metric needs: two, or three as in a bootstrap, or five as of GEPA."""
    try:
        parameters = signature(metric).parameters.values()
    except (TypeError, ValueError):  # a function in C
        return 2
    needed = [one for one in parameters if one.default is one.empty and one.kind in (0, 1)]  # positional
    return min(max(len(needed), 2), 5)
