"""ScienceQA: a multiple-choice question with at most one picture, answered directly."""

from typing import Any

import dspy

from pld_dspy.datasets import load
from pld_dspy.metrics.scienceqa import LETTERS, parse_letter


class AnswerQuestion(dspy.Signature):
    """Answer the multiple-choice question. Use the context and the image where there are any.
    Answer with the letter of the right choice and nothing else."""

    question: str = dspy.InputField()
    context: str = dspy.InputField(desc="a hint; may be empty")
    choices: str = dspy.InputField(desc="each with its letter")
    image: dspy.Image | None = dspy.InputField(desc="the figure that the question is about, if any")
    answer: str = dspy.OutputField(desc="one letter")


class ScienceQA(dspy.Module):
    """The ScienceQA student.

    Args:
        reasoning: let the model think step by step before it answers. Off by default: answering directly is what
            prompt-level distillation is for.
    """

    dataset = "scienceqa"

    def __init__(self, reasoning: bool = False) -> None:
        super().__init__()
        self.answer = (dspy.ChainOfThought if reasoning else dspy.Predict)(AnswerQuestion)

    def forward(
        self, question: str, choices: list[str], context: str = "", image: dspy.Image | None = None
    ) -> dspy.Prediction:
        """Answer one question; the prediction's `answer` is a letter where the reply names one choice."""
        lettered = "\n".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
        prediction = self.answer(question=question, context=context, choices=lettered, image=image)
        prediction.answer = parse_letter(prediction.answer, choices) or prediction.answer
        return prediction

    @staticmethod
    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        """1 for the right letter, 0 for a wrong or an unreadable one."""
        return float(parse_letter(prediction.answer, example.choices) == example.answer)

    @staticmethod
    def in_words(example: dspy.Example, answer: dspy.Prediction | dspy.Example) -> str:
        """The choice that an answer names, so that the teacher does not write rules about letters."""
        letter = parse_letter(answer.answer, example.choices)
        return example.choices[LETTERS.index(letter)] if letter else answer.answer

    @staticmethod
    def sample() -> dict[str, list[dspy.Example]]:
        """The splits `train` and `val` of the generated sample that `compile(student)` uses by default."""
        return {"train": load("scienceqa", "train", limit=120), "val": load("scienceqa", "val", limit=60)}
