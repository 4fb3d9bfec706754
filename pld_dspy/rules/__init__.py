"""Rules: what a person reads, changes and puts back."""

from pld_dspy.rules.edits import OPERATIONS, AppliedEdit, Edit, Operation
from pld_dspy.rules.ruleset import HEADER, MicroRule, Rule, RuleSet, RuleText, RuleUse, by_predictor
from pld_dspy.rules.steps import Proposal, Step, Verdict

__all__ = [
    "HEADER",
    "OPERATIONS",
    "AppliedEdit",
    "Edit",
    "MicroRule",
    "Operation",
    "Proposal",
    "Rule",
    "RuleSet",
    "RuleText",
    "RuleUse",
    "Step",
    "Verdict",
    "by_predictor",
]
