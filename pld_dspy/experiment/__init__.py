"""A whole experiment: a benchmark, a program, scores before and after."""

from pld_dspy.experiment.compiling import BeforeAfter, Summary, compile_and_score, compile_task, score_compiled
from pld_dspy.experiment.tasks import Task, load_program, load_task

__all__ = [
    "BeforeAfter",
    "Summary",
    "Task",
    "compile_and_score",
    "compile_task",
    "load_program",
    "load_task",
    "score_compiled",
]
