"""Rules: what a person reads, changes and puts back."""

from pld_dspy.rules.edits import OPERATIONS, AppliedEdit, Edit, Operation, Rule, RuleUse
from pld_dspy.rules.ruleset import HEADER, MicroRule, RuleSet, by_predictor
from pld_dspy.rules.steps import Proposal, Step, Verdict
from pld_dspy.rules.wording import RuleText

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
