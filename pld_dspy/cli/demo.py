"""`pld demo`: both students on the generated sample, with the simulated models."""

from datetime import datetime
from pathlib import Path

from rich.console import Console

from pld_dspy.cli import options as opt
from pld_dspy.cli.compile import compile_and_report
from pld_dspy.experiment import load_task
from pld_dspy.models import language_model
from pld_dspy.report import tables
from pld_dspy.teleprompter import PLDTeleprompter


def demo(seed: opt.Seed = 0, log_dir: Path = Path("runs/demo")) -> None:
    """Compile both students on the generated sample with the simulated models."""
    summaries = []
    for name in ("scienceqa", "spiqa"):
        task = load_task(name, "sample", {"train": 120, "val": 60, "test": 120}, seed=seed)
        lm = language_model("teacher", "rehearsal", seed=seed)
        folder = log_dir / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
        teleprompter = PLDTeleprompter(teacher_lm=lm, log_dir=folder, num_threads=4, display_progress=True, seed=seed)
        summaries.append(compile_and_report(task, teleprompter, lm))
    Console().print(tables.summary_table(summaries))
