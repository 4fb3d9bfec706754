"""A whole experiment: a benchmark, a program, scores before and after."""

from pld_dspy.experiment.compiling import BeforeAfter, Summary, Task, compile_and_score, load_program, load_task

__all__ = ["BeforeAfter", "Summary", "Task", "compile_and_score", "load_program", "load_task"]
