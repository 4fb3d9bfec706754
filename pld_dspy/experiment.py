"""A whole experiment: load a benchmark, compile its student, score the test split before and after."""

import time
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import dspy
from pydantic import BaseModel

from pld_dspy.datasets import Modality, load
from pld_dspy.errors import PLDError
from pld_dspy.evaluation import Evaluator, Metric, Scored, exact_match
from pld_dspy.run import RunFolder
from pld_dspy.runner import Runner
from pld_dspy.teleprompter import PLDTeleprompter
from pld_dspy.usage import Usage


@dataclass(frozen=True)
class Task:
    """A program and the examples that it is compiled and scored on, by split."""

    name: str
    source: str
    program: dspy.Module
    examples: dict[str, list[dspy.Example]]


class BeforeAfter(BaseModel):
    """A figure of the student as it came and of the compiled one."""

    baseline: float | None
    compiled: float | None


class Summary(BaseModel):
    """What a compile came to: summary.json, and what `pld compile --json` prints."""

    program: str
    data: str
    models: dict[str, str]  # by role
    n: dict[str, int]  # by split
    score: BeforeAfter  # fractions of the test split
    validation: dict[str, float]
    rules: int  # in the student's prompt
    prompt_tokens: BeforeAfter  # mean input of a question
    usage: dict[str, Usage]  # by role
    seconds: float
    log_dir: str


class Scores(BaseModel):
    """What `pld evaluate --json` prints."""

    program: str
    data: str
    model: str
    split: str
    n: int
    score: float  # a fraction
    errors: int  # questions without a readable answer
    prompt_tokens: float | None  # mean input of a question
    usage: Usage
    seconds: float


def load_task(name: str, source: str, sizes: dict[str, int], *, seed: int = 0, modality: Modality = "image") -> Task:
    """Find a program by its entry-point name, and load its benchmark.

    Args:
        name: registered under the entry-point group `pld_dspy.programs`.
        source: "sample" or a folder.
        sizes: at most so many examples of each split that is named.
        seed: of the draw.
        modality: "image", "caption" or "text".

    Raises:
        PLDError: there is no such program or data.
    """
    programs = {entry.name: entry for entry in entry_points(group="pld_dspy.programs")}
    if name not in programs:
        raise PLDError(f"There is no program {name!r}; installed are: {', '.join(sorted(programs)) or 'none'}.")
    program = programs[name].load()()
    dataset = getattr(program, "dataset", name)
    examples = {
        split: load(dataset, split, source, limit=size, seed=seed, modality=modality) for split, size in sizes.items()
    }
    return Task(name, source, program, examples)


def compile_and_score(task: Task, teleprompter: PLDTeleprompter, student_lm: dspy.BaseLM) -> Summary:
    """Compile a task's program, score it and the program as it came on the test split, and write summary.json.

    Files go to the teleprompter's `log_dir`.

    Raises:
        PLDError: as `PLDTeleprompter.compile`; or the metric fails on a test example.
    """
    start = time.monotonic()
    with dspy.context(lm=student_lm):
        compiled = teleprompter.compile(task.program, trainset=task.examples["train"], valset=task.examples["val"])
    run = RunFolder(teleprompter.log_dir)
    runner = Runner(teleprompter.num_threads, display_progress=teleprompter.display_progress, earlier=run.state.usage)
    evaluate = Evaluator(
        teleprompter.metric or _metric(task.program),
        runner,
        known=run.lines("evaluations.jsonl", Scored),
        record=lambda scored: run.append("evaluations.jsonl", scored),
    )
    with dspy.context(lm=student_lm):
        before = evaluate(task.program, task.examples["test"], "Testing the student")
        after = evaluate(compiled, task.examples["test"], "Testing the compiled student")
    run.status(run.state.status, runner.usage())
    summary = Summary(
        program=task.name,
        data=task.source,
        models={"teacher": (teleprompter.teacher_lm or student_lm).model, "student": student_lm.model},
        n={split: len(examples) for split, examples in task.examples.items()},
        score=BeforeAfter(baseline=before.score, compiled=after.score),
        validation=compiled.pld.validation,
        rules=sum(len(rules) for rules in compiled.pld.rules.values()),
        prompt_tokens=BeforeAfter(baseline=before.prompt_tokens, compiled=after.prompt_tokens),
        usage={"teacher": runner.teacher.total(), "student": runner.student.total()},
        seconds=round(time.monotonic() - start, 1),
        log_dir=str(run.path),
    )
    run.write("summary.json", summary)
    return summary


def score(task: Task, split: str, runner: Runner, student_lm: dspy.BaseLM) -> Scores:
    """Score a task's program on one split.

    Raises:
        PLDError: the metric fails, or the model does not answer.
    """
    start = time.monotonic()
    with dspy.context(lm=student_lm):
        evaluation = Evaluator(_metric(task.program), runner)(task.program, task.examples[split], f"Scoring {split}")
    return Scores(
        program=task.name,
        data=task.source,
        model=student_lm.model,
        split=split,
        n=len(evaluation.items),
        score=evaluation.score,
        errors=evaluation.errors,
        prompt_tokens=evaluation.prompt_tokens,
        usage=runner.student.total(),
        seconds=round(time.monotonic() - start, 1),
    )


def _metric(program: dspy.Module) -> Metric:
    return getattr(program, "metric", None) or exact_match(program)


def load_program(program: dspy.Module, path: Path) -> None:
    """Load a compiled program's state into a program.

    Raises:
        PLDError: the file is missing, or is not the state of such a program.
    """
    try:
        program.load(path)
    except FileNotFoundError as error:
        raise PLDError(f"There is no compiled program {path}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise PLDError(f"{path} is not the state of a {type(program).__name__}: {error!r}.") from error
