"""What a compiled program tells its predictors before every question, in words."""

from typing import Any

import dspy

from optimizers.prefixes import flattened
from optimizers.results import PredictorPrompt


def told_by(program: dspy.Module) -> list[PredictorPrompt]:
    """The instructions and demonstrations of a program's predictors, as DSPy's `ChatAdapter` writes them."""
    return [_told(name, predictor) for name, predictor in program.named_predictors()]


def _told(name: str, predictor: dspy.Predict) -> PredictorPrompt:
    demonstrations, images = [], 0
    for demo in predictor.demos:
        text, pictures = _written(predictor.signature, demo)
        demonstrations.append(text)
        images += pictures
    return PredictorPrompt(
        predictor=name, instructions=predictor.signature.instructions, demonstrations=demonstrations, images=images
    )


def _written(signature: type[dspy.Signature], demo: Any) -> tuple[str, int]:
    adapter = dspy.ChatAdapter()
    messages = adapter.format(signature, [demo], dict.fromkeys(signature.input_fields, ""))
    return flattened(None, messages[1:-1])  # without the system's and the question's
