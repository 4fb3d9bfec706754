"""SPIQA: a question about a paper, with several figures and their captions, answered directly."""

from typing import Any

import dspy
from dspy.evaluate.metrics import f1_score

from pld_dspy.datasets import load


class AnswerFromFigures(dspy.Signature):
    """Answer the question about a scientific paper from its figures and tables. First find the figure that the question
    is about by its caption. Answer in a few words, without a sentence around them."""

    question: str = dspy.InputField()
    captions: list[str] = dspy.InputField(desc="of the figures, in their order")
    figures: list[dspy.Image] = dspy.InputField(desc="the paper's figures and tables")
    answer: str = dspy.OutputField(desc="a few words")


class SPIQA(dspy.Module):
    """The SPIQA student.

    Args:
        reasoning: let the model think step by step before it answers. Off by default: answering directly is what
            prompt-level distillation is for.
    """

    dataset = "spiqa"

    def __init__(self, reasoning: bool = False) -> None:
        super().__init__()
        self.answer = (dspy.ChainOfThought if reasoning else dspy.Predict)(AnswerFromFigures)

    def forward(
        self, question: str, captions: list[str] | None = None, figures: list[dspy.Image] | None = None
    ) -> dspy.Prediction:
        """Answer one question in a few words."""
        return self.answer(question=question, captions=captions or [], figures=figures or [])

    @staticmethod
    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        """F1 of the words that answer and gold answer share, after SQuAD's normalisation."""
        return float(f1_score(str(prediction.answer), example.answer))

    @staticmethod
    def sample() -> dict[str, list[dspy.Example]]:
        """The splits `train` and `val` of the generated sample that `compile(student)` uses by default."""
        return {"train": load("spiqa", "train", limit=80), "val": load("spiqa", "val", limit=60)}
