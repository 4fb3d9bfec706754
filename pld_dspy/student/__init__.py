"""The student: what a program may declare, how it is scored, and how rules are put into it."""

from pld_dspy.student.evaluation import PASSED, Evaluation, Evaluator, Scored, in_words, program_fingerprint

__all__ = ["PASSED", "Evaluation", "Evaluator", "Scored", "in_words", "program_fingerprint"]
