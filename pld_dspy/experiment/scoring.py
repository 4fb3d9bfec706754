"""Scoring a student on one split of a benchmark, with the benchmark's own measures and table."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import dspy
from pydantic import BaseModel

from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id, fingerprint
from pld_dspy.experiment import Task
from pld_dspy.metrics.breakdown import Breakdown
from pld_dspy.metrics.l3score import L3Score
from pld_dspy.metrics.overlap import OverlapScore, overlap_scores
from pld_dspy.models import described
from pld_dspy.run.folder import RunFolder
from pld_dspy.run.runner import Runner
from pld_dspy.run.usage import Usage
from pld_dspy.student.evaluation import Evaluator, Scored, program_fingerprint

TRIAL = dspy.Example(question="What is two plus two?", answer="four").with_inputs("question")
HEADINGS = {"rouge_l": "ROUGE-L", "meteor": "METEOR", "cider": "CIDEr", "bertscore": "BERTScore"}


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
    errors: int  # questions without a readable answer
    prompt_tokens: float | None  # mean input of a question
    breakdown: Breakdown | None  # of programs that have one
    judge: str | None  # of the L3Score
    usage: dict[str, Usage]  # by role
    seconds: float
    log_dir: str | None


def score(
    task: Task,
    split: str,
    student_lm: dspy.LM,
    *,
    judge: dspy.LM | None = None,
    overlap: Sequence[str] = (),
    bertscore_model: str | None = None,
    log_dir: Path | None = None,
    num_threads: int | None = None,
    display_progress: bool = False,
) -> Scores:
    """Score a task's program on one split.

    Args:
        task: program and examples.
        split: the examples to score.
        student_lm: answers.
        judge: judges the answers by L3Score; a model that returns log-probabilities.
        overlap: further measures, of "rouge_l", "meteor" and "cider".
        bertscore_model: adds BERTScore, by this encoder.
        log_dir: where every answer and the result are kept; the same call again goes on there.
        num_threads: calls side by side; None for DSPy's setting.
        display_progress: show progress bars on standard error.

    Raises:
        PLDError: the metric fails, a model does not answer, the judge returns no log-probabilities, packages for a
            measure are missing, or the folder holds another run.
    """
    start = time.monotonic()
    examples = task.examples[split]
    if not examples:
        raise PLDError(f"No example of {split} is left to score: {len(task.skipped)} were left out for a bad image.")
    content = hashlib.sha256("".join(map(fingerprint, examples)).encode()).hexdigest()
    configuration = {
        "program": task.name,
        "instructions": program_fingerprint(task.program),
        "data": content[:12],
        "n": {split: len(examples)},
        "student": described(student_lm),
    }
    run = RunFolder(log_dir, configuration)
    runner = Runner(num_threads, display_progress=display_progress, earlier=run.state.usage)
    if judge is not None or overlap or bertscore_model:
        for example in examples:
            _gold(example)
    # What the measures lack should show before the student has answered everything.
    if overlap or bertscore_model:
        overlap_scores(["a word"], ["a word"], measures=overlap, bertscore_model=bertscore_model)
    if judge is not None:
        _l3scores([TRIAL], ["4"], L3Score(judge), runner, "Trying the judge")
    evaluate = Evaluator(task.metric, runner, run)
    try:
        with dspy.context(lm=student_lm):
            evaluation = evaluate(task.program, examples, f"Scoring {split}")
        found = _overlap(examples, evaluation.items, overlap, bertscore_model)
        more = {HEADINGS[measure]: score.examples for measure, score in found.items()}
        if judge is not None:
            said = [item.outputs.get("answer") for item in evaluation.items]
            more["L3Score"] = _l3scores(examples, said, L3Score(judge), runner, "Judging the answers")
    finally:
        run.status("interrupted", runner.usage())  # until the end below
    breakdown = task.program.breakdown(examples, evaluation.items, more) if hasattr(task.program, "breakdown") else None
    if breakdown and "meteor" in found:
        breakdown.overall["METEOR of the set"] = found["meteor"].corpus  # which is no mean
    scores = Scores(
        program=task.name,
        data=task.source,
        modality=task.modality,
        model=student_lm.model,
        split=split,
        n=len(evaluation.items),
        skipped=len(task.skipped),
        score=evaluation.score,
        errors=evaluation.errors,
        prompt_tokens=evaluation.prompt_tokens,
        breakdown=breakdown,
        judge=None if judge is None else judge.model,
        usage={
            "student": runner.meter("student").total(),
            **({} if judge is None else {"judge": runner.meter("judge").total()}),
            **task.usage,
        },
        seconds=round(time.monotonic() - start, 1),
        log_dir=None if log_dir is None else str(log_dir),
    )
    if breakdown:
        rows = zip(*breakdown.columns.values(), strict=True)
        named = [dict(zip(breakdown.columns, row, strict=True)) for row in rows]
        run.write("measures.json", dict(zip(map(example_id, examples), named, strict=True)))
    run.write("scores.json", scores)
    run.status("finished", runner.usage())
    return scores


def _overlap(
    examples: Sequence[dspy.Example], items: Sequence[Scored], measures: Sequence[str], bertscore_model: str | None
) -> dict[str, OverlapScore]:
    if not measures and bertscore_model is None:
        return {}
    said = [item.outputs.get("answer", "") for item in items]
    gold = [_gold(example) for example in examples]
    return overlap_scores(said, gold, measures=measures, bertscore_model=bertscore_model)


def _l3scores(
    examples: Sequence[dspy.Example], said: Sequence[str | None], l3score: L3Score, runner: Runner, description: str
) -> list[float]:
    def ask(pair: tuple[dspy.Example, str | None]) -> float:
        example, answer = pair
        return l3score(str(example.question), _gold(example), answer)

    with dspy.context(usage_tracker=runner.meter("judge")):
        outcomes = runner.map(ask, list(zip(examples, said, strict=True)), description)
    scores = [outcome.value for outcome in outcomes if outcome.value is not None]
    if len(scores) < len(outcomes):
        problem = next(outcome.error for outcome in outcomes if outcome.value is None)
        raise PLDError(f"The judge left {len(outcomes) - len(scores)} of {len(outcomes)} answers unjudged: {problem}.")
    return scores


def _gold(example: dspy.Example) -> str:
    if not example.get("answer"):
        raise PLDError(f"Example {example_id(example)} has no label `answer` that an answer could be compared with.")
    return str(example.answer)
