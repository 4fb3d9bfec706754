"""`pld doctor`: whether the models answer, by one call for each."""

import typer
from pydantic import RootModel

from pld_dspy.cli import options as opt
from pld_dspy.cli.arguments import embedder_model, show, student_model, task_of
from pld_dspy.experiment.doctor import Finding, examine
from pld_dspy.models import language_model
from pld_dspy.models.embedders import default_embedder
from pld_dspy.report import tables
from pld_dspy.teleprompter import NO_MODEL


def doctor(
    program: opt.Program, data: opt.Data = "sample", seed: opt.Seed = 0,
    teacher: opt.Teacher = "rehearsal", teacher_api_base: opt.ApiBase = None, teacher_setting: opt.Settings = None,
    student: opt.Model = "rehearsal", student_api_base: opt.ApiBase = None, student_setting: opt.Settings = None,
    modality: opt.Mode = "image", program_setting: opt.ProgramSettings = None, data_setting: opt.DataSettings = None,
    embedder: opt.EmbedderName = None, embedder_api_base: opt.ApiBase = None,
    json: opt.Json = False,
) -> None:  # fmt: skip
    """Ask each model of a compile once, and say what is wrong with those that cannot be used."""
    student_lm = student_model(student, student_api_base, student_setting, seed)
    teacher_lm = None
    if teacher not in NO_MODEL:
        teacher_lm = language_model("teacher", teacher, teacher_api_base, teacher_setting or (), seed)
    task = task_of(program, data, {"train": 1}, seed, program_setting, data_setting, modality, "stop", None)
    chosen = embedder_model(embedder, embedder_api_base) or default_embedder((teacher_lm or student_lm).model)
    findings = examine(task, student_lm, teacher_lm, chosen)
    show(RootModel[list[Finding]](findings), lambda found: tables.findings_text(found.root), json)
    if any(finding.problem for finding in findings):
        raise typer.Exit(2)
