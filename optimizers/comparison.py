"""The comparison: every optimizer with every seed, resumable, and what all of them come to."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import fmean

import dspy
from filelock import FileLock, Timeout

from pld_dspy.errors import PLDError
from pld_dspy.experiment import Task
from pld_dspy.identity import data_fingerprint, lasting_fingerprint, metric_fingerprint
from pld_dspy.models import described
from pld_dspy.optimizers.recording import Phase
from pld_dspy.optimizers.registry import CannotRun, Job, Optimizer, ordered
from pld_dspy.optimizers.results import Comparison, Result, Row
from pld_dspy.optimizers.statistics import with_tests
from pld_dspy.optimizers.unit import read_answers, run_unit, unit_folder
from pld_dspy.progress import progress_bar
from pld_dspy.run import RunFolder
from pld_dspy.student import Evaluation

Finished = dict[tuple[str, int], Result]  # by optimizer and seed


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
    run = _opened(folder, _configuration(task, student_lm, teacher_lm, max_lm_calls))
    train, val, jobs = task.examples["train"], task.examples["val"], {}
    for seed, name in product(seeds, optimizers):
        unit = unit_folder(folder, name, seed)
        job = Job(task.program, train, val, task.metric, student_lm, teacher_lm, seed, num_threads, max_lm_calls, unit)
        jobs[name, seed] = job
    finished, why_not = _run_missing(run, folder, task, optimizers, jobs, display_progress)
    names = ordered({*optimizers, *(name for name, _ in finished)})
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
        rows=with_tests([_row(name, optimizers.get(name), finished, why_not.get(name, []), folder) for name in names]),
    )


def _run_missing(
    run: RunFolder,
    folder: Path,
    task: Task,
    optimizers: Mapping[str, Optimizer],
    jobs: Mapping[tuple[str, int], Job],
    display_progress: bool,
) -> tuple[Finished, dict[str, list[str]]]:
    """Run what has no result yet; return all results, and by optimizer why others have none."""
    why_not: dict[str, list[str]] = {name: [] for name in optimizers}
    with _alone(folder), progress_bar(display_progress) as progress:
        finished = _finished(run, optimizers)
        run.status("interrupted", {})  # until the end
        bar = progress.add_task("Comparing", total=len(jobs))

        def show(unit: str, phase: Phase, count: int) -> None:
            progress.update(bar, description=f"{unit}: {phase}, {count:,} calls")

        for (name, seed), job in jobs.items():
            try:
                if (name, seed) not in finished:
                    result = run_unit(name, optimizers[name], job, task, partial(show, f"{name} {seed}"))
                    run.append("results.jsonl", result)
                    finished[name, seed] = result
                    shutil.rmtree(job.folder / "cache", ignore_errors=True)  # which nobody needs any more
            except CannotRun as error:
                why_not[name].append(str(error))
            except OSError as error:
                raise PLDError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
            progress.advance(bar)
        run.status("finished", {})
    return finished, why_not


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
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise PLDError(f"Another comparison is running in {folder}: wait for it, or give another folder.") from error


def _finished(run: RunFolder, optimizers: Mapping[str, Optimizer]) -> Finished:
    """What the folder holds, by optimizer and seed."""
    finished = {(result.optimizer, result.seed): result for result in run.lines("results.jsonl", Result)}
    for (name, _), result in finished.items():
        if name in optimizers and result.settings != optimizers[name].settings:
            raise PLDError(f"{run.path} holds results of {name} with other settings: give another folder.")
    return finished


def _row(name: str, optimizer: Optimizer | None, finished: Finished, why_not: list[str], folder: Path) -> Row:
    """What an optimizer comes to over its seeds, not yet tested."""
    results = [finished[key] for key in sorted(finished) if key[0] == name]
    answers = {result.seed: read_answers(unit_folder(folder, name, result.seed), result.n) for result in results}
    known = results[0] if results else optimizer
    return Row(
        optimizer=name,
        title=known.title if known else name,
        settings=known.settings if known else "",
        why_not=" ".join(dict.fromkeys(why_not)),
        results=results,
        scores={seed: Evaluation(items=items).scores for seed, items in answers.items()},
        score=fmean(result.score for result in results) if results else None,
    )


def _configuration(task: Task, student_lm: dspy.LM, teacher_lm: dspy.LM, max_lm_calls: int) -> dict[str, object]:
    examples = task.examples
    for split in ("train", "val", "test"):
        if not examples.get(split):
            raise PLDError(f"There is no example of {split}: {len(task.skipped)} were left out for a bad image.")
    return {
        "comparison of": task.name,
        "program": type(task.program).__name__,
        "instructions": lasting_fingerprint(task.program),
        "data": data_fingerprint([*examples["train"], *examples["val"]]),
        "n": {split: len(part) for split, part in examples.items()},
        "test data": data_fingerprint(examples["test"]),
        "student": described(student_lm),
        "teacher": described(teacher_lm),
        "metric": metric_fingerprint(task.metric),
        "max_lm_calls": max_lm_calls,
        "dspy": version("dspy"),
    }
