"""Scoring a student on one split of a benchmark, with the benchmark's own table and further measures."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
from pydantic import BaseModel

from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id, told_apart
from pld_dspy.experiment.compiling import Task
from pld_dspy.identity import data_fingerprint, lasting_fingerprint, metric_fingerprint
from pld_dspy.metrics import L3Score, Measure, MeasureScores
from pld_dspy.metrics.breakdown import Breakdown, break_down
from pld_dspy.metrics.circular import Circular, count_places, rotated
from pld_dspy.models import described
from pld_dspy.run import Failures, RunFolder, Runner, Usage, grouped
from pld_dspy.student import Evaluation, Evaluator, Scored, examples_of


class Scores(BaseModel):
    """What `pld evaluate --json` prints."""

    program: str
    data: str
    modality: str
    model: str
    split: str
    n: int
    skipped: int  # examples that were left out for a bad image
    score: float  # a fraction
    errors: int  # questions whose reply could not be used, which scores 0
    failures: list[Failures]  # those, and questions without a reply, which count for nothing
    prompt_tokens: float | None  # mean input of a question
    breakdown: Breakdown | None  # of programs that have one, and of measures
    judge: str | None  # of the L3Score
    circular: Circular | None  # where each question was asked in every rotation of its choices
    usage: dict[str, Usage]  # by role
    seconds: float
    log_dir: str | None


def score(
    task: Task,
    split: str,
    student_lm: dspy.LM,
    *,
    measures: Sequence[Measure] = (),
    circular: bool = False,
    log_dir: Path | None = None,
    num_threads: int | None = None,
    display_progress: bool = False,
) -> Scores:
    """Score a task's program on one split.

    Args:
        task, split: the program, and which of its examples to score.
        student_lm: answers.
        measures: further ones beside the program's metric, as `pld_dspy.metrics.L3Score(judge)`.
        circular: ask each multiple-choice question once in every rotation of its choices.
        log_dir: where every answer and the result are kept; the same call again goes on there.
        num_threads: calls side by side; None for DSPy's setting.
        display_progress: show progress bars on standard error.

    Raises:
        PLDError: the metric fails, a model does not answer, a measure lacks something, or the folder holds another run.
    """
    start = time.monotonic()
    examples = examples_of(task.program, rotated(task.examples[split]) if circular else task.examples[split])
    run = RunFolder(log_dir, _configuration(task, split, examples, student_lm))
    runner = Runner(num_threads, display_progress=display_progress, earlier=run.state.usage)
    for measure in measures:
        measure.check(examples, runner)
    try:
        with dspy.context(lm=student_lm):
            evaluation = Evaluator(task.metric, runner, run)(task.program, examples, f"Scoring {split}")
        examples, items = evaluation.answered(examples)
        measured = {measure.heading: measure.score(examples, _answers(items), runner) for measure in measures}
    finally:
        run.status("interrupted", runner.usage())  # until the end below
    breakdown = _breakdown(task.program, examples, items, measured)
    judge = _judge(measures)
    scores = Scores(
        program=task.name, data=task.source, modality=task.modality, model=student_lm.model,
        split=split, n=len(items), skipped=len(task.skipped),
        score=evaluation.score, errors=evaluation.errors, failures=grouped(runner.failures),
        prompt_tokens=evaluation.prompt_tokens, breakdown=breakdown, judge=judge,
        circular=count_places(examples, items) if circular else None,
        usage=_usage(runner, judge) | task.usage, seconds=round(time.monotonic() - start, 1),
        log_dir=None if log_dir is None else str(log_dir),
    )  # fmt: skip
    if breakdown:
        run.write("measures.json", _by_question(breakdown, examples))
    run.write("scores.json", scores)
    run.status("finished", runner.usage())
    return scores


def _judge(measures: Sequence[Measure]) -> str | None:
    return next((measure.judge.model for measure in measures if isinstance(measure, L3Score)), None)


def _answers(items: Sequence[Scored]) -> list[str | None]:
    return [item.outputs.get("answer") for item in items]


def _usage(runner: Runner, judge: str | None) -> dict[str, Usage]:
    """What was used, by role; of several judges that a folder knows, by this one."""
    return {role: runner.meter(role).total(judge if role == "judge" else None) for role in runner.usage()}


def _configuration(task: Task, split: str, examples: Sequence[dspy.Example], student_lm: dspy.LM) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    if not examples:
        raise PLDError(f"No example of {split} is left to score: {len(task.skipped)} were left out for a bad image.")
    return {
        "program": task.name,
        "instructions": lasting_fingerprint(task.program),
        "metric": metric_fingerprint(task.metric),
        "data": data_fingerprint(examples),
        "n": {split: len(examples)},
        "student": described(student_lm),
    }


def _by_question(breakdown: Breakdown, examples: Sequence[dspy.Example]) -> dict[str, dict[str, float]]:
    """Each question's score by measure, by its id."""
    names, columns = breakdown.columns.keys(), breakdown.columns.values()
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return dict(zip(map(example_id, told_apart(examples)), rows, strict=True))


def _breakdown(
    program: dspy.Module, examples: Sequence[dspy.Example], items: Sequence[Scored], measured: dict[str, MeasureScores]
) -> Breakdown | None:
    """The program's table with the measures; without one, a table of all questions if something was measured."""
    columns = {heading: scores.examples for heading, scores in measured.items()}
    if hasattr(program, "breakdown"):
        breakdown = program.breakdown(examples, items, columns)
    elif columns:
        score = Evaluation(items=list(items)).scores
        breakdown = break_down([], [()] * len(examples), {"score": score, **columns})
    else:
        return None
    for heading, scores in measured.items():
        if scores.overall is not None:
            breakdown.overall[f"{heading} of the set"] = scores.overall
    return breakdown
