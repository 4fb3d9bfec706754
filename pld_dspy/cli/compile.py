"""`pld compile`: compile a student and score it before and after."""

import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import dspy
import typer

from pld_dspy.cli import options as opt
from pld_dspy.cli.arguments import Describing, embedder_model, resumable, show, student_model, task_of
from pld_dspy.errors import PLDError
from pld_dspy.experiment import Summary, Task, compile_task, score_compiled
from pld_dspy.experiment.plan import plan
from pld_dspy.extraction import People, Source
from pld_dspy.models import language_model
from pld_dspy.plugins import named
from pld_dspy.report import tables, write_page
from pld_dspy.resolution import Resolution
from pld_dspy.resolution.proposers import PROPOSERS
from pld_dspy.rules import OPERATIONS
from pld_dspy.run import Budget, RunFolder
from pld_dspy.settings import parse_settings
from pld_dspy.teacher import Teacher
from pld_dspy.teleprompter import NO_MODEL, PLDTeleprompter


# fmt: off
def compile_(
    program: opt.Program, data: opt.Data = "sample",
    train: opt.Size = 120, val: opt.Size = 60, test: opt.Size = 120, seed: opt.Seed = 0,
    teacher: opt.Teacher = "rehearsal", teacher_api_base: opt.ApiBase = None, teacher_setting: opt.Settings = None,
    student: opt.Model = "rehearsal", student_api_base: opt.ApiBase = None, student_setting: opt.Settings = None,
    modality: opt.Mode = "image", describer: opt.DescriberName = None, describer_api_base: opt.ApiBase = None,
    program_setting: opt.ProgramSettings = None, data_setting: opt.DataSettings = None,
    bad_images: opt.BadImages = "stop",
    extraction: opt.Extraction = "examples", expert_rules: opt.ExpertRules = None,
    max_rule_tokens: opt.MaxRuleTokens = 2000, rules_per_question: opt.RulesPerQuestion = None,
    embedder: opt.EmbedderName = None, embedder_api_base: opt.ApiBase = None,
    cluster_setting: opt.ClusterSettings = None,
    gate: opt.GateName = "positive", proposer: opt.Proposers = None, operation: opt.Operations = None,
    ask_rule: opt.AskRule = False, prune: opt.Prune = True,
    auto: opt.AutoName = None, max_iterations: opt.MaxIterations = None, num_candidates: opt.NumCandidates = None,
    max_lm_calls: opt.MaxCalls = None, max_cost: opt.MaxCost = None, num_threads: opt.Threads = 8,
    log_dir: Annotated[Path | None, typer.Option(help="The run folder; the same command again goes on in it.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what it would take at most, and call no model.")] = False,
    json: opt.Json = False,
) -> None:
    # fmt: on
    """Compile a student and score it on test questions before and after."""
    folder = log_dir or Path("runs") / f"{program}-{datetime.now():%Y%m%d-%H%M%S}"
    budget = Budget(auto, max_iterations, num_candidates, max_lm_calls, max_cost)
    how = Resolution(gate, [*PROPOSERS, *(proposer or ())], ask_rule=ask_rule, prune=prune)
    sources = _sources(teacher, extraction, expert_rules)
    teacher_lm, asked = _teacher(teacher, teacher_api_base, teacher_setting, seed, operation)
    student_lm = student_model(student, student_api_base, student_setting, seed)
    describing = Describing(describer, describer_api_base, folder, num_threads, budget, dry_run)
    sizes = {"train": train, "val": val, "test": test}
    figures = (modality, bad_images, describing.describe)
    task = task_of(program, data, sizes, seed, program_setting, data_setting, *figures)
    budget = _for_compiling(budget, task, describing)
    if dry_run:
        models = {"teacher": teacher_lm.model if teacher_lm else "", "student": student_lm.model}
        stand_in = describing.stand_in if modality.startswith("describe") else None
        show(plan(task, models, max_rule_tokens, budget, how, sources, stand_in), tables.plan_table, json)
        return
    teleprompter = PLDTeleprompter(
        teacher_lm=teacher_lm,
        embedder=embedder_model(embedder, embedder_api_base),
        clustering=parse_settings(cluster_setting or (), "The clustering's"),
        resolution=how,
        extraction=sources,
        budget=budget,
        max_rule_tokens=max_rule_tokens,
        rules_per_question=rules_per_question,
        num_threads=num_threads,
        log_dir=folder,
        display_progress=True,
        seed=seed,
    )
    with resumable(folder):
        summary = compile_and_report(replace(task, usage=describing.usage()), teleprompter, student_lm, asked)
    show(summary, tables.compile_tables, json)


def compile_and_report(
    task: Task, teleprompter: PLDTeleprompter, student_lm: dspy.BaseLM, teacher: Teacher | str | None = None
) -> Summary:
    """`compile_and_score`, with report.html in the run folder."""
    start = time.monotonic()
    compiled = compile_task(task, teleprompter, student_lm, teacher)
    summary = score_compiled(compiled, task, teleprompter, student_lm, start)
    write_page(RunFolder(teleprompter.log_dir), task.name, compiled.pld, summary)
    return summary


def _sources(teacher: str, extraction: str, expert_rules: Path | None) -> list[str | Source]:
    people: list[str | Source] = [] if expert_rules is None else [People(expert_rules)]
    return [*people, *([] if teacher == "none" else [extraction])]


def _teacher(
    name: str, api_base: str | None, settings: list[str] | None, seed: int, operations: list[str] | None
) -> tuple[dspy.LM | None, Teacher | str]:
    """The teacher's model and who asks it; no model where rules are taken as they are."""
    if name in NO_MODEL:
        return None, name
    made = [named("operations", operation, OPERATIONS, "operation") for operation in operations or ()]
    return language_model("teacher", name, api_base, settings or (), seed), Teacher(made)


def _for_compiling(budget: Budget, task: Task, describing: Describing) -> Budget:
    """What is left of the calls when the test and the descriptions are taken off."""
    if budget.max_lm_calls is None:
        return budget
    before = 2 * len(task.examples["test"]) * len(task.program.predictors()) + describing.calls
    if budget.max_lm_calls <= before:
        raise PLDError(
            f"--max-lm-calls {budget.max_lm_calls} leaves nothing for compiling: testing alone takes {before}."
        )
    return replace(budget, max_lm_calls=budget.max_lm_calls - before)
