"""The command `pld`."""

import io
import os
import sys
from dataclasses import replace
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, NoReturn

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # prices from the installed package, not the network

import typer
from rich.console import Console

from pld_dspy import metrics
from pld_dspy.cli import options as opt
from pld_dspy.cli.arguments import (
    described_usage,
    describer_model,
    embedder_model,
    resumable,
    show,
    student_model,
    task_of,
)
from pld_dspy.errors import PLDError
from pld_dspy.experiment.compiling import compile_and_score, load_program, load_task
from pld_dspy.experiment.plan import StandIn, plan
from pld_dspy.experiment.scoring import score
from pld_dspy.models import language_model
from pld_dspy.report import tables
from pld_dspy.resolution.loop import Resolution
from pld_dspy.run.budgets import budget
from pld_dspy.run.runner import Runner
from pld_dspy.settings import parse_settings
from pld_dspy.teleprompter import PLDTeleprompter

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

INTERRUPTED = 130  # what typer makes of Ctrl-C
NO_MODEL = ("rationales", "none")  # as --teacher


@app.callback()
def pld() -> None:
    """Prompt-level distillation: compile a teacher's reasoning into a student's instructions."""


@app.command("compile")
def compile_(
    program: opt.Program,
    data: opt.Data = "sample",
    teacher: opt.Teacher = "rehearsal",
    student: opt.Model = "rehearsal",
    teacher_api_base: opt.ApiBase = None,
    student_api_base: opt.ApiBase = None,
    teacher_setting: opt.Settings = None,
    student_setting: opt.Settings = None,
    train: opt.Size = 120,
    val: opt.Size = 60,
    test: opt.Size = 120,
    seed: opt.Seed = 0,
    modality: opt.Mode = "image",
    describer: opt.DescriberName = None,
    describer_api_base: opt.ApiBase = None,
    program_setting: opt.ProgramSettings = None,
    data_setting: opt.DataSettings = None,
    bad_images: opt.BadImages = "stop",
    extraction: opt.Extraction = "examples",
    expert_rules: opt.ExpertRules = None,
    max_rule_tokens: opt.MaxRuleTokens = 2000,
    rules_per_question: opt.RulesPerQuestion = None,
    embedder: opt.EmbedderName = None,
    embedder_api_base: opt.ApiBase = None,
    cluster_setting: opt.ClusterSettings = None,
    gate: opt.GateName = "positive",
    ask_rule: opt.AskRule = False,
    prune: opt.Prune = True,
    auto: opt.AutoName = None,
    max_iterations: opt.MaxIterations = None,
    num_candidates: opt.NumCandidates = None,
    max_lm_calls: opt.MaxCalls = None,
    max_cost: opt.MaxCost = None,
    num_threads: opt.Threads = 8,
    log_dir: Annotated[Path | None, typer.Option(help="The run folder; the same command again goes on in it.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what it would take at most, and call no model.")] = False,
    json: opt.Json = False,
) -> None:
    """Compile a student and score it on test questions before and after."""
    folder = log_dir or Path("runs") / f"{program}-{datetime.now():%Y%m%d-%H%M%S}"
    taught = teacher not in NO_MODEL
    teacher_lm = language_model("teacher", teacher, teacher_api_base, teacher_setting or (), seed) if taught else None
    student_lm = student_model(student, student_api_base, student_setting, seed)
    embed = embedder_model(embedder, embedder_api_base)
    how = Resolution(gate=gate, ask_rule=ask_rule, prune=prune)
    stand_in = StandIn(describer or "") if dry_run else None
    describing = Runner(num_threads, max_lm_calls, max_cost, display_progress=True)
    task = task_of(
        program, data, {"train": train, "val": val, "test": test}, seed, modality, program_setting, data_setting,
        bad_images, stand_in or describer_model(describer, describer_api_base, folder, describing),
    )  # fmt: skip
    before = 2 * len(task.examples["test"]) * len(task.program.predictors()) + describing.teacher.total().calls
    if max_lm_calls is not None and max_lm_calls <= before:
        raise PLDError(f"--max-lm-calls {max_lm_calls} leaves nothing for compiling: testing alone takes {before}.")
    cap = None if max_lm_calls is None else max_lm_calls - before
    if dry_run:
        n_train, n_val = len(task.examples["train"]), len(task.examples["val"])
        allowed = budget(
            auto, n_train, n_val, len(task.program.predictors()),
            max_iterations=max_iterations, num_candidates=num_candidates, max_lm_calls=cap, max_cost=max_cost,
        )  # fmt: skip
        models = {"teacher": teacher_lm.model if teacher_lm else "", "student": student_lm.model}
        used = stand_in if modality.startswith("describe") else None
        reckoned = plan(
            task.program, task.examples, models, max_rule_tokens, allowed, how, extraction if taught else "none", used
        )
        show(reckoned, tables.plan_table, json)
        return
    task = replace(task, usage=described_usage(describing))
    teleprompter = PLDTeleprompter(
        teacher_lm=teacher_lm,
        embedder=embed,
        clustering=parse_settings(cluster_setting or (), "The clustering's"),
        resolution=how,
        extraction=extraction,
        expert_rules=expert_rules,
        max_rule_tokens=max_rule_tokens,
        rules_per_question=rules_per_question,
        auto=auto,
        max_iterations=max_iterations,
        num_candidates=num_candidates,
        num_threads=num_threads,
        max_lm_calls=cap,
        max_cost=max_cost,
        log_dir=folder,
        display_progress=True,
        seed=seed,
    )
    with resumable(folder):
        summary = compile_and_score(task, teleprompter, student_lm, teacher=None if taught else teacher)
    show(summary, tables.compile_tables, json)


@app.command()
def evaluate(
    program: opt.Program,
    data: opt.Data = "sample",
    student: opt.Model = "rehearsal",
    student_api_base: opt.ApiBase = None,
    student_setting: opt.Settings = None,
    split: Annotated[str, typer.Option(help="The split to score.")] = "test",
    test: opt.Size = 120,
    seed: opt.Seed = 0,
    modality: opt.Mode = "image",
    describer: opt.DescriberName = None,
    describer_api_base: opt.ApiBase = None,
    program_setting: opt.ProgramSettings = None,
    data_setting: opt.DataSettings = None,
    bad_images: opt.BadImages = "stop",
    judge: Annotated[
        str | None, typer.Option(help="Adds L3Score: a LiteLLM name whose server returns log-probabilities.")
    ] = None,
    judge_api_base: opt.ApiBase = None,
    judge_setting: opt.Settings = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="Adds one: rouge_l, meteor, cider, or an installed package's. Repeatable.")
    ] = None,
    bertscore: Annotated[str | None, typer.Option(help="Adds BERTScore by this encoder, as bert-base-uncased.")] = None,
    num_threads: opt.Threads = 8,
    compiled: Annotated[
        Path | None, typer.Option(help="program.json of a compile; without it, the bare student.")
    ] = None,
    embedder: opt.EmbedderName = None,
    embedder_api_base: opt.ApiBase = None,
    log_dir: Annotated[Path | None, typer.Option(help="Keeps every answer; the same command again goes on.")] = None,
    json: opt.Json = False,
) -> None:
    """Score a student, as it comes or compiled."""
    student_lm = student_model(student, student_api_base, student_setting, seed)
    measures = [metrics.measure(name) for name in measure or ()]
    if bertscore:
        measures.append(metrics.bertscore_by(bertscore))
    if judge:
        measures.append(metrics.L3Score(language_model("judge", judge, judge_api_base, judge_setting or (), seed)))
    describing = Runner(num_threads, display_progress=True)
    write = describer_model(describer, describer_api_base, log_dir or Path("runs/evaluation"), describing)
    task = task_of(program, data, {split: test}, seed, modality, program_setting, data_setting, bad_images, write)
    if compiled is not None:
        task = replace(task, program=load_program(task.program, compiled, embedder_model(embedder, embedder_api_base)))
    with resumable(log_dir):
        scores = score(
            replace(task, usage=described_usage(describing)),
            split,
            student_lm,
            measures=measures,
            log_dir=log_dir,
            num_threads=num_threads,
            display_progress=True,
        )
    show(scores, tables.score_table, json)


@app.command()
def demo(seed: opt.Seed = 0, log_dir: Path = Path("runs/demo")) -> None:
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
    """Run a command; bad input and models that do not answer end it with one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack a letter
    for entry in entry_points(group="pld_dspy.commands"):
        app.command(entry.name)(entry.load())
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (PLDError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)
    if code == INTERRUPTED:
        os._exit(code)  # calls in flight would keep the process alive until they are answered
    sys.exit(code)
