"""What a compiled program tells its predictors before every question, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from pld_dspy.optimizers.prefixes import flattened
from pld_dspy.optimizers.recording import described
from pld_dspy.optimizers.results import PredictorPrompt


def told_by(
    program: dspy.Module, first_messages: Mapping[tuple[str, ...], Sequence[dict[str, Any]]]
) -> list[PredictorPrompt]:
    """The instructions of a program's predictors, and the demonstrations that were sent with a question.

    Args:
        program: the compiled one.
        first_messages: of `Recorder`.
    """
    prompts = []
    for name, predictor in program.named_predictors():
        messages = first_messages.get(described(predictor.signature), ())
        sent = list(messages)[1:-1]  # without the system's and the question
        pairs = [flattened(None, sent[place : place + 2]) for place in range(0, len(sent), 2)]
        prompts.append(
            PredictorPrompt(
                predictor=name,
                instructions=predictor.signature.instructions,
                demonstrations=[text for text, _ in pairs],
                images=sum(images for _, images in pairs),
            )
        )
    return prompts
