"""A whole experiment: a benchmark, a program, scores before and after."""

from pld_dspy.experiment.compiling import Task, compile_and_score, load_program, load_task

__all__ = ["Task", "compile_and_score", "load_program", "load_task"]
