"""Whether a student answers by what options say or by where they stand: every question in every rotation.

Source: "CircularEval" of Liu et al., "MMBench", ECCV 2024, arXiv:2307.06281.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dspy
from pydantic import BaseModel

from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id
from pld_dspy.metrics.scienceqa import LETTERS, parse_letter


class Circular(BaseModel):
    """How much of an accuracy over all rotations is owed to places."""

    questions: int  # of which all rotations were answered
    all_right: float  # share of them that is right in all rotations
    answered: dict[str, int]  # how often each place was answered, by its letter; "none" for no letter
    right: dict[str, int]  # and was right


def rotated(examples: Sequence[dspy.Example]) -> list[dspy.Example]:
    """Multiple-choice examples, each once for every rotation of its `choices`; its `answer`, a letter, goes along.

    Raises:
        PLDError: an example has no choices, or an answer that is none of their letters.

    >>> question = dspy.Example(question="?", choices=["a", "b", "c"], answer="A").with_inputs("question", "choices")
    >>> [(" ".join(one.choices), one.answer) for one in rotated([question])]
    [('a b c', 'A'), ('b c a', 'C'), ('c a b', 'B')]
    """
    several = []
    for example in examples:
        choices, letter = example.get("choices"), example.get("answer")
        if not isinstance(choices, list) or letter not in LETTERS[: len(choices)]:
            raise PLDError(f"Example {example_id(example)} has no choices with a letter as its answer to be rotated.")
        place = LETTERS.index(letter)
        for by in range(len(choices)):
            answer = LETTERS[(place - by) % len(choices)]
            several.append(example.copy(choices=[*choices[by:], *choices[:by]], answer=answer))
    return several


def count_places(examples: Sequence[dspy.Example], items: Sequence[Any]) -> Circular:
    """Count places and questions that are right throughout.

    Args:
        examples: as `rotated` makes them, those without a reply left out.
        items: the `student.Scored` of each.
    """
    replies = [item.outputs.get("answer", "") for item in items]
    pairs = zip(replies, examples, strict=True)
    answered = Counter(parse_letter(reply, example.choices) or "none" for reply, example in pairs)
    rotations: dict[tuple[str, ...], list[bool]] = {}  # by the question, whatever the order of its choices
    for example, item in zip(examples, items, strict=True):
        question = (example_id(example), str(example.get("question")), *sorted(map(str, example.choices)))
        rotations.setdefault(question, []).append(item.passed)
    whole = [passed for (_, _, *choices), passed in rotations.items() if len(passed) == len(choices)]
    return Circular(
        questions=len(whole),
        all_right=sum(map(all, whole)) / max(len(whole), 1),
        answered=dict(sorted(answered.items())),
        right=dict(sorted(Counter(example.answer for example in examples).items())),
    )
