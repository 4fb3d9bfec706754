"""Phase 4: rules into the instructions of a program's predictors."""

from collections.abc import Mapping

import dspy

from pld_dspy.rules import RuleSet
from pld_dspy.usage import count_tokens


def instruct(
    student: dspy.Module, rules: Mapping[str, RuleSet], max_tokens: int | None = None, model: str = ""
) -> dspy.Module:
    """A copy of the student whose predictors read rules after their own instructions.

    Args:
        student: stays as it is.
        rules: a rule set for each predictor that has one, by predictor name.
        max_tokens: budget for each predictor's rules; those that do not fit are left out, least supported first.
        model: whose tokenizer counts.
    """
    program = student.deepcopy()
    for name, predictor in program.named_predictors():
        if name not in rules:
            continue
        rendered = rules[name].within(max_tokens, lambda text: count_tokens(model, text)).render()
        if rendered:
            predictor.signature = predictor.signature.with_instructions(
                f"{predictor.signature.instructions}\n\n{rendered}"
            )
    return program
