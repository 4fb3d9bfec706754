"""The comparison: every optimizer with every seed, resumable, and what all of them come to."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path

import dspy
from filelock import FileLock, Timeout
from rich.progress import Progress, TaskID

from pld_dspy.errors import PLDError
from pld_dspy.examples import fingerprint
from pld_dspy.experiment import Task
from pld_dspy.models import described
from pld_dspy.optimizers.recording import Phase
from pld_dspy.optimizers.registry import BASELINE, METHOD, CannotRun, Optimizer, ordered
from pld_dspy.optimizers.results import Comparison, Result, Row
from pld_dspy.optimizers.statistics import Scores, corrected, interval, paired_test, pareto_front
from pld_dspy.optimizers.unit import Unit
from pld_dspy.progress import progress_bar
from pld_dspy.run.configuration import described_data, described_metric
from pld_dspy.run.folder import RunFolder


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
        optimizers: by name, those to run.
        student_lm: answers, in all of them.
        teacher_lm: writes instructions, rules and demonstrations, in all of them.
        seeds: of the optimizers.
        folder: of the results.
        num_threads: model calls side by side.
        max_lm_calls: that compiling may take.
        display_progress: show a progress bar on standard error.

    Returns:
        Everything that the folder holds, with what it held before; and why the others have no result.

    Raises:
        PLDError: a model does not answer, the metric fails, or the folder holds something else or is in use. What is
            finished stays.
    """
    for split in ("train", "val", "test"):
        if not task.examples.get(split):
            raise PLDError(f"There is no example of {split}: {len(task.skipped)} were left out for a bad image.")
    run = _opened(folder, _configuration(task, student_lm, teacher_lm, max_lm_calls))
    with _alone(folder), progress_bar(display_progress) as progress:
        finished = _finished(run, optimizers)
        run.status("interrupted", {})  # until the end
        bar = progress.add_task("Comparing", total=len(optimizers) * len(seeds))
        why_not: dict[str, list[str]] = {name: [] for name in optimizers}
        for seed, name in product(seeds, optimizers):
            if (name, seed) not in finished:
                unit = Unit(name, seed, folder)
                try:
                    result = unit.run(
                        optimizers[name],
                        task,
                        student_lm=student_lm,
                        teacher_lm=teacher_lm,
                        num_threads=num_threads,
                        max_lm_calls=max_lm_calls,
                        on_call=partial(_show, progress, bar, unit),
                    )
                except CannotRun as error:
                    why_not[name].append(str(error))
                except OSError as error:
                    raise PLDError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
                else:
                    run.append("results.jsonl", result)
                    finished[(name, seed)] = result
                    unit.finish()
            progress.advance(bar)
        run.status("finished", {})
        answers = {key: _scores(result, folder) for key, result in finished.items()}
    rows, scores = [], {}
    for name in ordered({*optimizers, *(name for name, _ in finished)}):
        results = [finished[key] for key in sorted(finished) if key[0] == name]
        rows.append(_row(name, optimizers.get(name), results, why_not.get(name, [])))
        scores[name] = {result.seed: answers[name, result.seed] for result in results}
    return Comparison(
        program=task.name,
        data=task.source,
        modality=task.modality,
        models={"teacher": teacher_lm.model, "student": student_lm.model},
        n={split: len(examples) for split, examples in task.examples.items()},
        seeds=sorted({*seeds, *(seed for _, seed in finished)}),
        num_threads=sorted({result.num_threads for result in finished.values()}),
        max_lm_calls=max_lm_calls,
        described=task.usage.get("describer"),
        rows=tested(rows, scores),
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


def _opened(folder: Path, configuration: dict[str, object]) -> RunFolder:
    """The folder, made if it is not there, so that what is interrupted can be gone on with."""
    before = RunFolder(folder).state.configuration
    if before and "comparison of" not in before:
        raise PLDError(f"{folder} holds another run: give another folder.")
    run = RunFolder(folder, configuration)
    if not before:
        run.write("run.json", run.state)
    return run


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise PLDError(f"Another comparison is running in {folder}: wait for it, or give another folder.") from error


def _show(progress: Progress, bar: TaskID, unit: Unit, phase: Phase, count: int) -> None:
    progress.update(bar, description=f"{unit.name} {unit.seed}: {phase}, {count:,} calls")


def _finished(run: RunFolder, optimizers: Mapping[str, Optimizer]) -> dict[tuple[str, int], Result]:
    """What the folder holds, by optimizer and seed."""
    finished = {(result.optimizer, result.seed): result for result in run.lines("results.jsonl", Result)}
    for (name, _), result in finished.items():
        if name in optimizers and result.settings != optimizers[name].settings:
            raise PLDError(f"{run.path} holds results of {name} with other settings: give another folder.")
    return finished


def _scores(result: Result, folder: Path) -> list[float]:
    unit = Unit(result.optimizer, result.seed, folder)
    scores = [answer.score for answer in unit.answers()]
    if len(scores) != result.n:
        raise PLDError(
            f"{unit.folder} has {len(scores)} of {result.n} answers: take its line out of results.jsonl to run it anew."
        )
    return scores


def _row(name: str, optimizer: Optimizer | None, results: list[Result], why_not: list[str]) -> Row:
    return Row(
        optimizer=name,
        title=results[0].title if results else optimizer.title if optimizer else name,
        settings=results[0].settings if results else optimizer.settings if optimizer else "",
        why_not=" ".join(dict.fromkeys(why_not)),
        results=results,
        score=sum(result.score for result in results) / len(results) if results else None,
    )


def _configuration(task: Task, student_lm: dspy.LM, teacher_lm: dspy.LM, max_lm_calls: int) -> dict[str, object]:
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
        "max_lm_calls": max_lm_calls,
        "dspy": version("dspy"),
    }
