"""`pld compare`: registered under the entry-point group `pld_dspy.commands`."""

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pld_dspy.cli import options as opt
from pld_dspy.cli.arguments import Describing, resumable, show, student_model, task_of
from pld_dspy.errors import PLDError
from pld_dspy.models import language_model
from pld_dspy.optimizers.comparison import compare as run
from pld_dspy.optimizers.registry import find_optimizers
from pld_dspy.optimizers.report import write_report
from pld_dspy.optimizers.tables import comparison_table

Names = Annotated[str | None, typer.Option(help="Which ones, by commas, as uncompiled,gepa,pld; all installed ones.")]
Seeds = Annotated[str, typer.Option(help="Of the optimizers, by commas, as 0,1,2.")]
Calls = Annotated[int, typer.Option(min=1, help="Calls of both models that compiling may take, for each one and seed.")]
Out = Annotated[Path | None, typer.Option(help="The folder of the results; the same command again goes on in it.")]


# fmt: off
def compare(
    program: opt.Program, data: opt.Data = "sample",
    train: opt.Size = 120, val: opt.Size = 60, test: opt.Size = 120, data_seed: opt.Seed = 0,
    teacher: opt.Model = "rehearsal", teacher_api_base: opt.ApiBase = None, teacher_setting: opt.Settings = None,
    student: opt.Model = "rehearsal", student_api_base: opt.ApiBase = None, student_setting: opt.Settings = None,
    modality: opt.Mode = "image", describer: opt.DescriberName = None, describer_api_base: opt.ApiBase = None,
    program_setting: opt.ProgramSettings = None, data_setting: opt.DataSettings = None,
    bad_images: opt.BadImages = "stop",
    optimizers: Names = None, seeds: Seeds = "0", max_lm_calls: Calls = 10_000, num_threads: opt.Threads = 8,
    out: Out = None, json: opt.Json = False,
) -> None:
    # fmt: on
    """Compare optimizers: compile a student with each, test what they return, and write a report."""
    folder = out or Path("runs") / f"compare-{program}-{datetime.now():%Y%m%d-%H%M%S}"
    chosen = find_optimizers(None if optimizers is None else _listed(optimizers))
    numbers = _numbers(seeds)
    teacher_lm = language_model("teacher", teacher, teacher_api_base, teacher_setting or (), data_seed)
    student_lm = student_model(student, student_api_base, student_setting, data_seed)
    describing = Describing(describer, describer_api_base, folder, num_threads)
    sizes, figures = {"train": train, "val": val, "test": test}, (modality, bad_images, describing.describe)
    task = task_of(program, data, sizes, data_seed, program_setting, data_setting, *figures)
    task = replace(task, usage=describing.usage())
    units, questions = len(chosen) * len(numbers), len(task.examples["test"])
    print(
        f"{units} compiles of at most {max_lm_calls:,} calls each, and {units} tests of {questions:,} questions; "
        f"what {folder} holds already is not done again",
        file=sys.stderr,
    )
    with resumable(folder, "--out"):
        comparison = run(
            task,
            chosen,
            student_lm=student_lm,
            teacher_lm=teacher_lm,
            seeds=numbers,
            folder=folder,
            num_threads=num_threads,
            max_lm_calls=max_lm_calls,
            display_progress=True,
        )
        write_report(comparison, task, folder)
    show(comparison, comparison_table, json)


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    parts = _listed(text)
    if not parts or not all(part.isdecimal() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise PLDError(f"--seeds takes different whole numbers from 0 on, by commas, as 0,1,2; not {text!r}.")
    return [int(part) for part in parts]
