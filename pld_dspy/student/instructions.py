"""Phase 4: rules into the instructions of a program's predictors."""

from collections.abc import Mapping

import dspy

from pld_dspy.rules import RuleSet


def instruct(student: dspy.Module, rules: Mapping[str, RuleSet]) -> dspy.Module:
    """A copy of the student whose predictors read rules after their own instructions.

    Args:
        student: stays as it is.
        rules: a rule set for each predictor that has one, by predictor name; `RuleSet.within` makes one fit a budget.
    """
    program = student.deepcopy()
    for name, predictor in program.named_predictors():
        rendered = rules[name].render() if name in rules else ""
        if rendered:
            predictor.signature = predictor.signature.with_instructions(
                f"{predictor.signature.instructions}\n\n{rendered}"
            )
    return program
