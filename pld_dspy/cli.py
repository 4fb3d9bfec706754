"""The command `pld`."""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # prices from the installed package, not the network

import dspy
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from pld_dspy.datasets import Modality
from pld_dspy.errors import PLDError
from pld_dspy.experiment import compile_and_score, load_program, load_task, score
from pld_dspy.models import language_model
from pld_dspy.plan import plan
from pld_dspy.report import tables
from pld_dspy.runner import Runner
from pld_dspy.teleprompter import PLDTeleprompter

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

Program = Annotated[str, typer.Argument(help="A student program: scienceqa, spiqa, or an installed package's.")]
Data = Annotated[str, typer.Option(help="'sample' (generated), or a folder in the benchmark's official layout.")]
Teacher = Annotated[str, typer.Option(help="Any LiteLLM model name, or 'rehearsal' for the simulator.")]
Student = Annotated[str, typer.Option(help="Any LiteLLM model name, or 'rehearsal' for the simulator.")]
ApiBase = Annotated[str | None, typer.Option(help="Address of the server; its key comes from $PLD_{ROLE}_API_KEY.")]
Settings = Annotated[list[str] | None, typer.Option(help="Sent with every request, as temperature=0. Repeatable.")]
Size = Annotated[int, typer.Option(min=1, help="At most so many examples, drawn at random.")]
Seed = Annotated[int, typer.Option(help="Of every draw.")]
Mode = Annotated[Modality, typer.Option(help="What the models get of a figure: itself, its caption, or nothing.")]
Threads = Annotated[int, typer.Option(min=1, help="Model calls side by side.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]

Result = TypeVar("Result", bound=BaseModel)
INTERRUPTED = 130  # what typer makes of Ctrl-C
STUDENT_SETTINGS = ("temperature=0", "max_tokens=512")


@app.callback()
def pld() -> None:
    """Prompt-level distillation: compile a teacher's reasoning into a student's instructions."""


@app.command("compile")
def compile_(
    program: Program,
    data: Data = "sample",
    teacher: Teacher = "rehearsal",
    student: Student = "rehearsal",
    teacher_api_base: ApiBase = None,
    student_api_base: ApiBase = None,
    teacher_setting: Settings = None,
    student_setting: Settings = None,
    train: Size = 120,
    val: Size = 60,
    test: Size = 120,
    seed: Seed = 0,
    modality: Mode = "image",
    max_rule_tokens: Annotated[int, typer.Option(min=1, help="Budget of the rules in the student's prompt.")] = 2000,
    max_iterations: Annotated[int, typer.Option(min=0, help="Rounds of conflict resolution.")] = 3,
    num_threads: Threads = 8,
    max_lm_calls: Annotated[int | None, typer.Option(min=1, help="Calls that all of this may make.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that compiling may cost.")] = None,
    log_dir: Annotated[Path | None, typer.Option(help="The run folder; the same command again goes on in it.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what it would take at most, and call no model.")] = False,
    json: Json = False,
) -> None:
    """Compile a student and score it on test questions before and after."""
    task = load_task(program, data, {"train": train, "val": val, "test": test}, seed=seed, modality=modality)
    teacher_lm = language_model("teacher", teacher, teacher_api_base, teacher_setting or (), seed)
    student_lm = _student(student, student_api_base, student_setting, seed)
    if dry_run:
        models = {"teacher": teacher_lm.model, "student": student_lm.model}
        _show(plan(task.program, task.examples, models, max_rule_tokens, max_iterations), tables.plan_table, json)
        return
    for_testing = 2 * len(task.examples["test"])
    if max_lm_calls is not None and max_lm_calls <= for_testing:
        raise PLDError(
            f"--max-lm-calls {max_lm_calls} leaves nothing for compiling: testing alone takes {for_testing}."
        )
    folder = log_dir or Path("runs") / f"{program}-{datetime.now():%Y%m%d-%H%M%S}"
    teleprompter = PLDTeleprompter(
        teacher_lm=teacher_lm,
        max_rule_tokens=max_rule_tokens,
        max_iterations=max_iterations,
        num_threads=num_threads,
        max_lm_calls=None if max_lm_calls is None else max_lm_calls - for_testing,
        max_cost=max_cost,
        log_dir=folder,
        display_progress=True,
        seed=seed,
    )
    try:
        summary = compile_and_score(task, teleprompter, student_lm)
    except KeyboardInterrupt:
        print(f"stopped; the same command with --log-dir {folder} goes on from here", file=sys.stderr)
        raise
    _show(summary, lambda summary: tables.summary_table([summary]), json)


@app.command()
def evaluate(
    program: Program,
    data: Data = "sample",
    student: Student = "rehearsal",
    student_api_base: ApiBase = None,
    student_setting: Settings = None,
    split: Annotated[str, typer.Option(help="The split to score.")] = "test",
    test: Size = 120,
    seed: Seed = 0,
    modality: Mode = "image",
    num_threads: Threads = 8,
    compiled: Annotated[
        Path | None, typer.Option(help="program.json of a compile; without it, the bare student.")
    ] = None,
    json: Json = False,
) -> None:
    """Score a student, as it comes or compiled."""
    task = load_task(program, data, {split: test}, seed=seed, modality=modality)
    if compiled is not None:
        load_program(task.program, compiled)
    student_lm = _student(student, student_api_base, student_setting, seed)
    _show(score(task, split, Runner(num_threads, display_progress=True), student_lm), tables.score_table, json)


@app.command()
def demo(seed: Seed = 0, log_dir: Path = Path("runs/demo")) -> None:
    """Compile both students on the generated sample with the simulated models."""
    summaries = []
    for name in ("scienceqa", "spiqa"):
        task = load_task(name, "sample", {"train": 120, "val": 60, "test": 120}, seed=seed)
        lm = language_model("teacher", "rehearsal", seed=seed)
        folder = log_dir / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
        teleprompter = PLDTeleprompter(teacher_lm=lm, log_dir=folder, num_threads=4, display_progress=True, seed=seed)
        summaries.append(compile_and_score(task, teleprompter, lm))
    Console().print(tables.summary_table(summaries))


def main() -> NoReturn:
    """Run the command; bad input and models that do not answer end it with one line and exit code 2."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (PLDError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)
    if code == INTERRUPTED:
        os._exit(code)  # calls in flight would keep the process alive until they are answered
    sys.exit(code)


def _student(name: str, api_base: str | None, settings: list[str] | None, seed: int) -> dspy.LM:
    given = settings or []
    keys = {setting.partition("=")[0] for setting in given}
    defaults = [] if name == "rehearsal" else [pair for pair in STUDENT_SETTINGS if pair.partition("=")[0] not in keys]
    return language_model("student", name, api_base, [*defaults, *given], seed)


def _show(result: Result, table: Callable[[Result], Table], json: bool) -> None:
    Console(stderr=json).print(table(result))
    if json:
        print(result.model_dump_json())
