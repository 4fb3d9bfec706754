"""Demonstrations as a program's questions are."""

from collections.abc import Callable, Sequence
from typing import Any

import dspy


def as_asked(demos: Sequence[Any], inputs_of: Callable[[Any], dict[str, Any]]) -> list[Any]:
    """Give labelled demonstrations the form that the program gives its questions.

    `dspy.LabeledFewShot` and others take examples as they are in the data, which a program may write otherwise: a list
    of choices with letters, say. What was bootstrapped has that form already.

    Args:
        demos: of a predictor.
        inputs_of: makes the predictor's inputs of an example.
    """
    return [demo if demo.get("augmented") else dspy.Example({**demo, **inputs_of(demo)}) for demo in demos]
