"""The student: what a program may declare, how it is scored, and how rules are put into it."""

from pld_dspy.student.coverage import Coverage, coverage
from pld_dspy.student.evaluation import PASSED, Evaluation, Evaluator, Scored, score_of
from pld_dspy.student.inputs import answer, examples_of
from pld_dspy.student.instructions import instruct
from pld_dspy.student.program import (
    Metric,
    Student,
    breakdown_of,
    exact_match,
    in_words,
    metric_of,
    same_answer,
    sample_of,
    strata_of,
    tasks_of,
    value_of,
)
from pld_dspy.student.routing import Routing, check_routing, route

__all__ = [
    "PASSED",
    "Coverage",
    "Evaluation",
    "Evaluator",
    "Metric",
    "Routing",
    "Scored",
    "Student",
    "answer",
    "breakdown_of",
    "check_routing",
    "coverage",
    "exact_match",
    "examples_of",
    "in_words",
    "instruct",
    "metric_of",
    "route",
    "same_answer",
    "sample_of",
    "score_of",
    "strata_of",
    "tasks_of",
    "value_of",
]
