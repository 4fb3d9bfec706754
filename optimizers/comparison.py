"""The comparison: every optimizer with every seed, resumable, and what all of them come to."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import dspy

from optimizers.registry import BASELINE, METHOD, CannotRun, Optimizer
from optimizers.results import Comparison, Result, Row
from optimizers.statistics import Scores, corrected, interval, paired_test, pareto_front
from optimizers.unit import Unit
from pld_dspy.configuration import described_data, described_metric
from pld_dspy.errors import PLDError
from pld_dspy.examples import fingerprint
from pld_dspy.experiment import Task
from pld_dspy.models import described
from pld_dspy.progress import progress_bar
from pld_dspy.run import RunFolder


def compare(
    task: Task,
    optimizers: Mapping[str, Optimizer],
    *,
    student_lm: dspy.LM,
    teacher_lm: dspy.LM,
    seeds: Sequence[int] = (0,),
    folder: Path,
    num_threads: int = 8,
    max_lm_calls: int = 10_000,
    display_progress: bool = False,
) -> Comparison:
    """Compile a task's program with every optimizer and seed, and test what they return.

    Each optimizer and seed is a unit: with DSPy's cache cold, the training examples in the seed's order, and at most
    `max_lm_calls` calls of both models. A finished one is a line of results.jsonl; the same call again runs those that
    are missing.

    Args:
        task: program and examples.
        optimizers: by name, in the table's order.
        student_lm: answers, in all of them.
        teacher_lm: writes instructions, rules and demonstrations, in all of them.
        seeds: of the optimizers.
        folder: of the results.
        num_threads: model calls side by side.
        max_lm_calls: that compiling may take.
        display_progress: show a progress bar on standard error.

    Returns:
        A row for each optimizer, with those that could not run and why.

    Raises:
        PLDError: a model does not answer, the metric fails, or the folder holds something else. What is finished stays.
    """
    for split, examples in task.examples.items():
        if not examples:
            raise PLDError(f"No example of {split} is left: {len(task.skipped)} were left out for a bad image.")
    run = RunFolder(folder, _configuration(task, student_lm, teacher_lm, num_threads, max_lm_calls))
    run.write("run.json", run.state.model_copy(update={"status": "interrupted"}))  # until the end below
    finished = {(result.optimizer, result.seed): result for result in run.lines("results.jsonl", Result)}
    why_not: dict[str, list[str]] = {}
    with progress_bar(display_progress) as progress:
        bar = progress.add_task("Comparing", total=len(optimizers) * len(seeds))
        for seed in seeds:
            for name, optimizer in optimizers.items():
                if (name, seed) not in finished:
                    unit = Unit(name, seed, folder)

                    def show(phase: str, count: int, name: str = name, seed: int = seed) -> None:
                        progress.update(bar, description=f"{name} {seed}: {phase}, {count:,} calls")

                    try:
                        result = unit.run(
                            optimizer,
                            task,
                            student_lm=student_lm,
                            teacher_lm=teacher_lm,
                            num_threads=num_threads,
                            max_lm_calls=max_lm_calls,
                            on_call=show,
                        )
                    except CannotRun as error:
                        why_not.setdefault(name, []).append(str(error))
                    else:
                        run.append("results.jsonl", result)
                        finished[(name, seed)] = result
                        unit.finish()
                progress.advance(bar)
    run.status("finished", {})
    untested = [
        _row(name, optimizer, [finished[name, seed] for seed in seeds if (name, seed) in finished], why_not.get(name))
        for name, optimizer in optimizers.items()
    ]
    scores = {row.optimizer: {result.seed: _scores(result, folder) for result in row.results} for row in untested}
    return Comparison(
        program=task.name,
        data=task.source,
        modality=task.modality,
        models={"teacher": teacher_lm.model, "student": student_lm.model},
        n={split: len(examples) for split, examples in task.examples.items()},
        seeds=list(seeds),
        num_threads=num_threads,
        max_lm_calls=max_lm_calls,
        rows=tested(untested, scores),
    )


def tested(rows: Sequence[Row], scores: Mapping[str, Scores]) -> list[Row]:
    """Rows with their intervals and tests.

    Args:
        rows: one for each optimizer.
        scores: by optimizer and seed, a score for each test question.
    """
    against = {}
    for reference in (BASELINE, METHOD):
        tests = {
            row.optimizer: paired_test(scores.get(reference, {}), scores[row.optimizer])
            for row in rows
            if row.optimizer != reference
        }
        against[reference] = corrected({name: test for name, test in tests.items() if test is not None})
    front = pareto_front(rows)
    found = []
    for row in rows:
        low, high = (interval(scores[row.optimizer]) if row.results else None) or (None, None)
        update = {
            "low": low,
            "high": high,
            "vs_baseline": against[BASELINE].get(row.optimizer),
            "vs_method": against[METHOD].get(row.optimizer),
            "on_front": row.optimizer in front,
        }
        found.append(row.model_copy(update=update))
    return found


def _row(name: str, optimizer: Optimizer, results: list[Result], why_not: list[str] | None) -> Row:
    return Row(
        optimizer=name,
        title=optimizer.title,
        settings=optimizer.settings,
        why_not=" ".join(dict.fromkeys(why_not or [])),
        results=results,
        score=sum(result.score for result in results) / len(results) if results else None,
    )


def _scores(result: Result, folder: Path) -> list[float]:
    return [answer.score for answer in Unit(result.optimizer, result.seed, folder).answers()]


def _configuration(
    task: Task, student_lm: dspy.LM, teacher_lm: dspy.LM, num_threads: int, max_lm_calls: int
) -> dict[str, object]:
    examples = task.examples
    content = hashlib.sha256("".join(map(fingerprint, examples["test"])).encode()).hexdigest()
    return {
        "comparison of": task.name,
        **described_data(task.program, examples["train"], examples["val"]),
        "n": {split: len(part) for split, part in examples.items()},
        "test data": content[:12],
        "student": described(student_lm),
        "teacher": described(teacher_lm),
        "metric": described_metric(task.metric),
        "num_threads": num_threads,
        "max_lm_calls": max_lm_calls,
    }
