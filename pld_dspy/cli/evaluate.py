"""`pld evaluate`: score a student on one split."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Option

from pld_dspy import metrics
from pld_dspy.cli import options as opt
from pld_dspy.cli.arguments import Describing, embedder_model, resumable, show, student_model, task_of
from pld_dspy.experiment import load_program
from pld_dspy.experiment.scoring import score
from pld_dspy.models import language_model
from pld_dspy.report import tables

Judge = Annotated[opt.Text, Option(help="Adds L3Score: a LiteLLM name whose server returns log-probabilities.")]
Measures = Annotated[opt.Texts, Option(help="Adds a measure: rouge_l, meteor or cider. Repeatable.")]
Encoder = Annotated[opt.Text, Option(help="Adds BERTScore by this encoder, as bert-base-uncased.")]
Compiled = Annotated[Path | None, Option(help="program.json of a compile; without it, the bare student.")]
Circular = Annotated[bool, Option("--circular", help="Ask each question in every rotation of its choices.")]
LogDir = Annotated[Path | None, Option(help="Keeps every answer; the same command again goes on.")]


def evaluate(
    program: opt.Program, data: opt.Data = "sample",
    student: opt.Model = "rehearsal", student_api_base: opt.ApiBase = None, student_setting: opt.Settings = None,
    split: Annotated[str, Option(help="The split to score.")] = "test", test: opt.Size = 120, seed: opt.Seed = 0,
    modality: opt.Mode = "image", describer: opt.DescriberName = None, describer_api_base: opt.ApiBase = None,
    program_setting: opt.ProgramSettings = None, data_setting: opt.DataSettings = None,
    bad_images: opt.BadImages = "stop",
    judge: Judge = None, judge_api_base: opt.ApiBase = None, judge_setting: opt.Settings = None,
    measure: Measures = None, bertscore: Encoder = None, num_threads: opt.Threads = 8,
    circular: Circular = False, compiled: Compiled = None,
    embedder: opt.EmbedderName = None, embedder_api_base: opt.ApiBase = None,
    log_dir: LogDir = None, json: opt.Json = False,
) -> None:  # fmt: skip
    """Score a student, as it comes or compiled."""
    student_lm = student_model(student, student_api_base, student_setting, seed)
    measures = [metrics.measure(name) for name in measure or ()]
    if bertscore:
        measures.append(metrics.bertscore_by(bertscore))
    if judge:
        measures.append(metrics.L3Score(language_model("judge", judge, judge_api_base, judge_setting or (), seed)))
    describing = Describing(describer, describer_api_base, log_dir or Path("runs/evaluation"), num_threads)
    figures = (modality, bad_images, describing.describe)
    task = task_of(program, data, {split: test}, seed, program_setting, data_setting, *figures)
    if compiled is not None:
        task = replace(task, program=load_program(task.program, compiled, embedder_model(embedder, embedder_api_base)))
    with resumable(log_dir):
        scores = score(
            replace(task, usage=describing.usage()), split, student_lm,
            measures=measures, circular=circular, log_dir=log_dir, num_threads=num_threads, display_progress=True,
        )  # fmt: skip
    show(scores, tables.score_table, json)
