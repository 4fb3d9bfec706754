"""`pld compile`: compile a student and score it before and after; and `pld demo`, which does so on the sample."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from rich.console import Console

from pld_dspy.cli import options as opt
from pld_dspy.cli.arguments import Describing, embedder_model, resumable, show, student_model, task_of
from pld_dspy.errors import PLDError
from pld_dspy.experiment import Task, load_task
from pld_dspy.experiment.compiling import compile_task
from pld_dspy.experiment.plan import plan
from pld_dspy.extraction import People, Source
from pld_dspy.models import language_model
from pld_dspy.report import tables, write_page
from pld_dspy.resolution import Resolution
from pld_dspy.resolution.proposers import PROPOSERS
from pld_dspy.rules.edits import operation_of
from pld_dspy.run import MAX_FAILED, Budget, RunFolder
from pld_dspy.settings import parse_settings
from pld_dspy.teacher import Teacher
from pld_dspy.teleprompter import NO_MODEL, PLDTeleprompter


def compile_(
    program: opt.Program, data: opt.Data = "sample",
    train: opt.Size = 120, val: opt.Size = 60, test: opt.Size = 120, seed: opt.Seed = 0,
    teacher: opt.Teacher = "rehearsal", teacher_api_base: opt.ApiBase = None, teacher_setting: opt.Settings = None,
    student: opt.Model = "rehearsal", student_api_base: opt.ApiBase = None, student_setting: opt.Settings = None,
    modality: opt.Mode = "image", describer: opt.DescriberName = None, describer_api_base: opt.ApiBase = None,
    program_setting: opt.ProgramSettings = None, data_setting: opt.DataSettings = None,
    bad_images: opt.BadImages = "stop", extraction: opt.Extraction = "examples", expert_rules: opt.ExpertRules = None,
    max_rule_tokens: opt.MaxRuleTokens = 2000, rules_per_question: opt.RulesPerQuestion = None,
    embedder: opt.EmbedderName = None, embedder_api_base: opt.ApiBase = None,
    cluster_setting: opt.ClusterSettings = None, gate: opt.GateName = "positive", proposer: opt.Proposers = None,
    operation: opt.Operations = None, ask_rule: opt.AskRule = False, prune: opt.Prune = True,
    auto: opt.AutoName = None, max_iterations: opt.MaxIterations = None, num_candidates: opt.NumCandidates = None,
    max_lm_calls: opt.MaxCalls = None, max_cost: opt.MaxCost = None,
    max_failed: opt.MaxFailed = MAX_FAILED, num_threads: opt.Threads = 8,
    log_dir: opt.RunFolder = None, dry_run: opt.DryRun = False, json: opt.Json = False,
) -> None:  # fmt: skip
    """Compile a student and score it on test questions before and after."""
    folder = log_dir or Path("runs") / f"{program}-{datetime.now():%Y%m%d-%H%M%S}"
    budget = Budget(auto, max_iterations, num_candidates, max_lm_calls, max_cost, max_failed)
    how = Resolution(gate, [*PROPOSERS, *(proposer or ())], ask_rule=ask_rule, prune=prune)
    sources: list[str | Source] = [] if expert_rules is None else [People(expert_rules)]
    if teacher != "none":
        sources.append(extraction)
    teacher_lm, asker = None, teacher  # no model where rules are taken as they are
    if teacher not in NO_MODEL:
        teacher_lm = language_model("teacher", teacher, teacher_api_base, teacher_setting or (), seed)
        asker = Teacher([operation_of(name) for name in operation or ()])
    student_lm = student_model(student, student_api_base, student_setting, seed)
    describing = Describing(describer, describer_api_base, folder, num_threads, budget, dry_run)
    sizes, figures = {"train": train, "val": val, "test": test}, (modality, bad_images, describing.describe)
    task = task_of(program, data, sizes, seed, program_setting, data_setting, *figures)
    task = replace(task, usage=describing.usage())
    budget = _for_compiling(budget, task)
    if dry_run:
        models = {"teacher": teacher_lm.model if teacher_lm else "", "student": student_lm.model}
        planned = plan(task, models, max_rule_tokens, budget, how, sources, describing.stand_in)
        show(planned, tables.plan_table, json)
        return
    teleprompter = PLDTeleprompter(
        teacher_lm=teacher_lm, embedder=embedder_model(embedder, embedder_api_base),
        clustering=parse_settings(cluster_setting or (), "The clustering's"), resolution=how, extraction=sources,
        budget=budget, max_rule_tokens=max_rule_tokens, rules_per_question=rules_per_question,
        num_threads=num_threads, log_dir=folder, display_progress=True, seed=seed,
    )  # fmt: skip
    with resumable(folder):
        compiled, summary = compile_task(task, teleprompter, student_lm, asker)
        write_page(RunFolder(folder), program, compiled.pld, summary)
    show(summary, tables.compile_tables, json)


def demo(seed: opt.Seed = 0, log_dir: Path = Path("runs/demo")) -> None:
    """Compile both students on the generated sample with the simulated models."""
    summaries = []
    for name in ("scienceqa", "spiqa"):
        task = load_task(name, "sample", {"train": 120, "val": 60, "test": 120}, seed=seed)
        lm = language_model("teacher", "rehearsal", seed=seed)
        folder = log_dir / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
        teleprompter = PLDTeleprompter(teacher_lm=lm, log_dir=folder, num_threads=4, display_progress=True, seed=seed)
        compiled, summary = compile_task(task, teleprompter, lm)
        write_page(RunFolder(folder), name, compiled.pld, summary)
        summaries.append(summary)
    Console().print(tables.summary_table(summaries))


def _for_compiling(budget: Budget, task: Task) -> Budget:
    """What is left of the calls when the test and the descriptions are taken off."""
    cap = budget.max_lm_calls
    if cap is None:
        return budget
    calls = 2 * len(task.examples["test"]) * len(task.program.predictors())
    calls += sum(usage.calls for usage in task.usage.values())
    if cap <= calls:
        raise PLDError(f"--max-lm-calls {cap} leaves nothing for compiling: testing alone takes {calls}.")
    return replace(budget, max_lm_calls=cap - calls)
