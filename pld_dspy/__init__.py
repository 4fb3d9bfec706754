"""Prompt-level distillation for multimodal scientific question answering, as a DSPy optimizer."""

from pld_dspy.distillation import Distillation
from pld_dspy.errors import PLDError
from pld_dspy.models.transformers_engine import TransformersEngine
from pld_dspy.rules import MicroRule, Rule, RuleSet
from pld_dspy.rules.edits import Edit
from pld_dspy.teacher import Teacher
from pld_dspy.teleprompter import PLDTeleprompter

__all__ = [
    "Distillation",
    "Edit",
    "MicroRule",
    "PLDError",
    "PLDTeleprompter",
    "Rule",
    "RuleSet",
    "Teacher",
    "TransformersEngine",
]
