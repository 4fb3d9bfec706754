"""Rules: what a person reads, changes and puts back."""

from pld_dspy.rules.edits import AppliedEdit, Edit
from pld_dspy.rules.ruleset import MicroRule, Rule, RuleSet, RuleText, RuleUse, by_predictor

__all__ = ["AppliedEdit", "Edit", "MicroRule", "Rule", "RuleSet", "RuleText", "RuleUse", "by_predictor"]
