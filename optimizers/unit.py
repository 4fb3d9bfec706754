"""One optimizer with one seed: compiled with a cold cache and every call on record, then tested."""

import contextlib
import io
import random
import shutil
import sys
import traceback
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import dspy
import numpy as np

from pld_dspy.errors import OfNoUse, PLDError, brief
from pld_dspy.experiment import Task
from pld_dspy.identity import program_fingerprint
from pld_dspy.optimizers.prompts import program_prompts
from pld_dspy.optimizers.recording import ROLES, OnCall, RecordedLM, Recorder
from pld_dspy.optimizers.registry import CannotRun, Job, Optimizer, own_signatures
from pld_dspy.optimizers.results import GroupScore, ProgramPrompts, Result
from pld_dspy.run import Runner, append_line, read_lines
from pld_dspy.student import Evaluation, Evaluator, Scored

KEPT = ("cache", "calls.jsonl")  # of a unit that was interrupted
NEVER = 1_000_000_000  # errors that DSPy stops at: beyond the cap, optimizers are to go on to their best program so far


def unit_folder(folder: Path, name: str, seed: int) -> Path:
    """Where an optimizer's files with one seed are, in a comparison's folder.

    calls.jsonl has every model call, program.json the compiled program, answers.jsonl its answers on the test split,
    told.json its prompts, log.txt what the optimizer printed.
    """
    return folder / "units" / f"{name}-{seed}"


def run_unit(name: str, optimizer: Optimizer, job: Job, task: Task, on_call: OnCall) -> Result:
    """Compile and test; what an interrupted run of the unit had asked is taken from its cache.

    The optimizer, called `name`, compiles a job of its own: with copies of all that it could change and models that are
    on record. `on_call` is called after every call, from many threads.

    Raises:
        CannotRun: the optimizer does not go with the task, ended with an error, or returned no program that runs.
        PLDError: a model does not answer, or the metric fails.
        OSError: the folder cannot be written.
    """
    _start_over(job.folder, keep=job.student_lm.cache and job.teacher_lm.cache)
    recorder = Recorder(job.folder / "calls.jsonl", job.max_lm_calls, on_call)
    own = replace(
        job,
        student=own_signatures(job.student.deepcopy()),
        trainset=random.Random(job.seed).sample(deepcopy(job.trainset), len(job.trainset)),
        valset=deepcopy(job.valset),
        student_lm=RecordedLM(job.student_lm, "student", "compile", recorder),
        teacher_lm=RecordedLM(job.teacher_lm, "teacher", "compile", recorder),
        folder=job.folder / "own",
    )
    with _cold_cache(job.folder / "cache"):
        with _printed_to(job.folder / "log.txt"):
            program = _compiled(optimizer, own, recorder, job.folder / "program.json")
        seconds = recorder.elapsed
        with dspy.context(lm=RecordedLM(job.student_lm, "student", "test", recorder)):
            evaluation = _tested(program, task, job.num_threads, recorder)
    for item in evaluation.items:
        append_line(job.folder / "answers.jsonl", item)
    prompts = program_prompts(program, recorder.first_messages)
    sent = ProgramPrompts(optimizer=name, seed=job.seed, prompts=prompts).model_dump_json(indent=2)
    (job.folder / "told.json").write_text(f"{sent}\n", encoding="utf-8")
    return Result(
        optimizer=name,
        title=optimizer.title,
        seed=job.seed,
        score=evaluation.score,
        n=len(evaluation.items),
        errors=evaluation.errors,
        settings=optimizer.settings,
        program=program_fingerprint(program),
        capped=recorder.capped,
        compile={role: recorder.usage("compile", role) for role in ROLES},
        seconds=round(seconds, 1),
        num_threads=job.num_threads,
        question=recorder.per_question(len(evaluation.items)),
        groups=_groups(task, evaluation),
    )


def read_answers(unit: Path, n: int) -> list[Scored]:
    """A unit's answers on the `n` questions of the test split, in its order; PLDError if there are not so many."""
    answers = read_lines(unit / "answers.jsonl", Scored)
    if len(answers) != n:
        raise PLDError(f"{unit} has {len(answers)} of {n} answers: take its line out of results.jsonl to run it anew.")
    return answers


def read_prompts(unit: Path) -> ProgramPrompts:
    """What a unit's program tells its predictors."""
    return ProgramPrompts.model_validate_json((unit / "told.json").read_text(encoding="utf-8"))


def _start_over(folder: Path, keep: bool) -> None:
    """Empty the folder but for what was paid, if a cache has the answers."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if keep and path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=path.name == "cache")  # which threads may still be closing
        else:
            path.unlink()


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
    recorder.raise_fatal()
    if problem:
        made = sum(recorder.usage("compile", role).calls for role in ROLES)
        raise CannotRun(f"{problem} {made:,} calls had been made." if made else problem)
    return program


def _tested(program: dspy.Module, task: Task, num_threads: int, recorder: Recorder) -> Evaluation:
    """Score the program on the test split; a failure that may pass, as of a server, is not taken for an answer."""
    try:
        evaluation = Evaluator(task.metric, Runner(num_threads))(program, task.examples["test"], "Testing")
    except Exception as error:
        recorder.raise_fatal()
        if isinstance(error, OfNoUse):
            raise CannotRun(f"Its program failed: {error}") from error
        if isinstance(error, PLDError):
            raise
        raise CannotRun(f"Its program ended with {type(error).__name__}: {brief(error)}") from error
    recorder.raise_fatal()
    if missing := [item for item in evaluation.items if item.score is None]:
        raise PLDError(f"The model failed while it was tested, on example {missing[0].example}: {missing[0].error}")
    return evaluation


def _groups(task: Task, evaluation: Evaluation) -> dict[str, GroupScore]:
    """The first measure of the program's own table, by group; nothing where it has none."""
    if not hasattr(task.program, "breakdown"):
        return {}
    breakdown = task.program.breakdown(task.examples["test"], evaluation.items, {})
    measure = next(iter(breakdown.columns))
    return {group.name: GroupScore(n=group.n, score=group.scores[measure]) for group in breakdown.groups if group.n}


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
    file = path.open("w", encoding="utf-8", errors="replace")
    stream = _WhileOpen(file)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield
    finally:
        if sys.exc_info()[0] is not KeyboardInterrupt:  # after which DSPy's threads still draw their bars
            file.close()


class _WhileOpen(io.TextIOBase):
    """A file while it is open, then standard error: logging keeps streams."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return (sys.stderr if self._file.closed else self._file).write(text)

    def flush(self) -> None:
        (sys.stderr if self._file.closed else self._file).flush()
