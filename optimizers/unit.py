"""One optimizer with one seed: compiled with a cold cache and every call on record, then tested."""

import contextlib
import io
import random
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import TextIO

import dspy
import numpy as np

from pld_dspy.errors import PLDError, brief
from pld_dspy.experiment import Task
from pld_dspy.optimizers.prompts import told_by
from pld_dspy.optimizers.recording import Phase, Recorder, recorded
from pld_dspy.optimizers.registry import CannotRun, Job, Optimizer, own_signatures
from pld_dspy.optimizers.results import GroupScore, Result, Told
from pld_dspy.run.folder import append_line, read_lines
from pld_dspy.run.runner import Runner
from pld_dspy.student.evaluation import Evaluation, Evaluator, Scored, program_fingerprint

KEPT = ("cache", "calls.jsonl")  # of a unit that was interrupted
NEVER = 1_000_000_000  # errors that DSPy stops at: beyond the cap, optimizers are to go on to their best program so far


class Unit:
    """One optimizer with one seed, and the folder of its files.

    calls.jsonl has every model call, program.json the compiled program, answers.jsonl its answers on the test split,
    told.json its prompts, log.txt what the optimizer printed.

    Args:
        name: the optimizer's entry-point name.
        seed: of its draws.
        folder: of the whole comparison.
    """

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self.name = name
        self.seed = seed
        self.folder = folder / "units" / f"{name}-{seed}"

    def run(
        self,
        optimizer: Optimizer,
        task: Task,
        *,
        student_lm: dspy.LM,
        teacher_lm: dspy.LM,
        num_threads: int,
        max_lm_calls: int,
        on_call: Callable[[Phase, int], None] = lambda phase, count: None,
    ) -> Result:
        """Compile and test; what an interrupted run of the unit had asked is taken from its cache.

        Raises:
            CannotRun: the optimizer does not go with the task, ended with an error, or returned no program that runs.
            PLDError: a model does not answer, or the metric fails.
            OSError: the folder cannot be written.
        """
        self._start_over(keep=student_lm.cache and teacher_lm.cache)
        recorder = Recorder(self.folder / "calls.jsonl", max_lm_calls, on_call)
        train, val = (deepcopy(task.examples[split]) for split in ("train", "val"))
        job = Job(
            student=own_signatures(task.program.deepcopy()),
            trainset=random.Random(self.seed).sample(train, len(train)),
            valset=val,
            metric=task.metric,
            student_lm=recorded(student_lm, "student", "compile", recorder),
            teacher_lm=recorded(teacher_lm, "teacher", "compile", recorder),
            seed=self.seed,
            num_threads=num_threads,
            max_lm_calls=max_lm_calls,
            folder=self.folder / "own",
        )
        with _cold_cache(self.folder / "cache"):
            with _printed_to(self.folder / "log.txt"):
                program = _compiled(optimizer, job, recorder, self.folder / "program.json")
            seconds = recorder.elapsed
            with dspy.context(lm=recorded(student_lm, "student", "test", recorder)):
                evaluation = _tested(program, task, num_threads, recorder)
        for item in evaluation.items:
            append_line(self.folder / "answers.jsonl", item)
        told = Told(optimizer=self.name, seed=self.seed, prompts=told_by(program, recorder.first_messages))
        (self.folder / "told.json").write_text(told.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return Result(
            optimizer=self.name,
            title=optimizer.title,
            seed=self.seed,
            score=evaluation.score,
            n=len(evaluation.items),
            errors=evaluation.errors,
            settings=optimizer.settings,
            program=program_fingerprint(program),
            capped=recorder.capped,
            compile=recorder.usage("compile"),
            seconds=round(seconds, 1),
            num_threads=num_threads,
            question=recorder.per_question(len(evaluation.items)),
            groups=_groups(task, evaluation),
        )

    def finish(self) -> None:
        """Remove the cache, which nobody needs any more."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def answers(self) -> list[Scored]:
        """The answers on the test split, in its order."""
        return read_lines(self.folder / "answers.jsonl", Scored)

    def told(self) -> Told:
        """What the program tells its predictors."""
        return Told.model_validate_json((self.folder / "told.json").read_text(encoding="utf-8"))

    def _start_over(self, keep: bool) -> None:
        """Empty the folder but for what was paid, if a cache has the answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if not (keep and path.name in KEPT):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _compiled(optimizer: Optimizer, job: Job, recorder: Recorder, path: Path) -> dspy.Module:
    """Run the optimizer and save its program; errors are its own, but for that of a model which does not answer."""
    problem = ""
    random.seed(job.seed)  # for optimizers that draw from the generators that all share
    np.random.seed(job.seed)
    try:
        with dspy.context(lm=job.student_lm, max_errors=NEVER, disable_history=True):
            program = optimizer.compile(job)
        if isinstance(program, dspy.Module):
            program.set_lm(None)  # of its own, as SIMBA's: all are tested with the same model
            program.save(path)
        else:
            problem = f"It returned {brief(repr(program))}, which is no program."
    except (Exception, SystemExit) as error:
        traceback.print_exc()  # which goes to log.txt
        problem = str(error) if isinstance(error, PLDError) else f"It ended with {type(error).__name__}: {brief(error)}"
        if recorder.capped and not isinstance(error, CannotRun):
            problem = f"It had no program when the cap of {job.max_lm_calls:,} calls was reached."
    recorder.end_compiling()
    _raise_for(recorder)
    if problem:
        made = sum(used.calls for used in recorder.usage("compile").values())
        raise CannotRun(f"{problem} {made:,} calls had been made." if made else problem)
    return program


def _tested(program: dspy.Module, task: Task, num_threads: int, recorder: Recorder) -> Evaluation:
    """Score the program on the test split; a failure that may pass, as of a server, is not taken for an answer."""
    try:
        evaluation = Evaluator(task.metric, Runner(num_threads))(program, task.examples["test"], "Testing")
    except Exception as error:
        _raise_for(recorder)
        if isinstance(error, PLDError):
            raise
        raise CannotRun(f"Its program ended with {type(error).__name__}: {brief(error)}") from error
    _raise_for(recorder)
    if evaluation.errors and recorder.passing is not None:
        raise PLDError(f"The model {recorder.passing.model} failed while it was tested: {brief(recorder.passing)}")
    return evaluation


def _raise_for(recorder: Recorder) -> None:
    if isinstance(recorder.fatal, OSError):
        raise recorder.fatal
    if recorder.fatal is not None:
        raise PLDError(f"The model {recorder.fatal.model} does not answer: {brief(recorder.fatal)}")


def _groups(task: Task, evaluation: Evaluation) -> dict[str, GroupScore]:
    """The first measure of the program's own table, by group; nothing where it has none."""
    if not hasattr(task.program, "breakdown"):
        return {}
    found = task.program.breakdown(task.examples["test"], evaluation.items, {})
    measure = next(iter(found.columns))
    return {group.name: GroupScore(n=group.n, score=group.scores[measure]) for group in found.groups if group.n}


@contextlib.contextmanager
def _cold_cache(folder: Path) -> Iterator[None]:
    """DSPy's cache in a folder of its own."""
    before = dspy.cache
    dspy.configure_cache(disk_cache_dir=str(folder))
    try:
        yield
    finally:
        dspy.cache = before


@contextlib.contextmanager
def _printed_to(path: Path) -> Iterator[None]:
    """What is printed goes to a file: DSPy's optimizers print, log and draw progress bars."""
    with path.open("w", encoding="utf-8", errors="replace") as file:
        to, afterwards = _Redirected(file), sys.stderr
        try:
            with contextlib.redirect_stdout(to), contextlib.redirect_stderr(to):
                yield
        except KeyboardInterrupt:
            afterwards = io.StringIO()  # DSPy's threads still draw their bars
            raise
        finally:
            to.target = afterwards


class _Redirected(io.TextIOBase):
    """A stream that can be kept, as by logging, when the file behind it is closed."""

    def __init__(self, target: TextIO) -> None:
        self.target = target

    def write(self, text: str) -> int:
        return self.target.write(text)

    def flush(self) -> None:
        self.target.flush()
