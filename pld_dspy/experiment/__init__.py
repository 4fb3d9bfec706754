"""A whole experiment: a benchmark, a program, scores before and after."""

from pld_dspy.experiment.compiling import (
    BeforeAfter,
    Summary,
    Task,
    compile_and_score,
    compile_task,
    load_program,
    load_task,
    score_compiled,
)  # fmt: skip

__all__ = [
    "BeforeAfter", "Summary", "Task", "compile_and_score", "compile_task", "load_program", "load_task",
    "score_compiled",
]  # fmt: skip
