"""ScienceQA: a multiple-choice question with pictures, a caption or neither, answered directly or with reasoning."""

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from pld_dspy.datasets import load
from pld_dspy.metrics.scienceqa import LETTERS, parse_letter, scienceqa_breakdown
from pld_dspy.programs.demonstrations import as_asked
from pld_dspy.settings import one_of, truth_value


class AnswerText(dspy.Signature):
    """Answer the multiple-choice question. Use the context where there is one.
    Answer with the letter of the right choice and nothing else."""

    question: str = dspy.InputField()
    context: str = dspy.InputField(desc="a hint; may be empty")
    choices: str = dspy.InputField(desc="each with its letter")
    answer: str = dspy.OutputField(desc="one letter")


class AnswerWithCaption(AnswerText):
    """Answer the multiple-choice question. Use the context and the caption where there are any.
    Answer with the letter of the right choice and nothing else."""

    caption: str = dspy.InputField(desc="what the picture shows that the question is about; may be empty")


class AnswerWithImage(AnswerText):
    """Answer the multiple-choice question. Use the context and the image where there are any.
    Answer with the letter of the right choice and nothing else."""

    image: dspy.Image | None = dspy.InputField(desc="the figure that the question is about, if any")
    choice_images: list[dspy.Image] = dspy.InputField(desc="pictures of the choices, in no known order; may be empty")


SIGNATURES = {
    "image": AnswerWithImage,
    "caption": AnswerWithCaption,
    "describe": AnswerWithCaption,
    "text": AnswerText,
}


class ScienceQA(dspy.Module):
    """The ScienceQA student.

    Args:
        modality: what it gets of a figure: "image", "caption" or "describe" (a text), or "text" (nothing).
        reasoning: let the model think step by step before it answers. Off by default: answering directly is what
            prompt-level distillation is for.

    Raises:
        PLDError: there is no such modality, or `reasoning` is no truth value.
    """

    dataset = "scienceqa"
    # The answer's letter is only a place among the choices: rules that cover one place better than another are a fault.
    strata = ("subject", "topic", "answer")
    breakdown = staticmethod(scienceqa_breakdown)

    def __init__(self, modality: str = "image", reasoning: bool = False) -> None:
        super().__init__()
        signature = SIGNATURES[one_of(modality, tuple(SIGNATURES), "ScienceQA's modality")]
        self.answer = (dspy.ChainOfThought if truth_value(reasoning, "reasoning") else dspy.Predict)(signature)

    def forward(
        self,
        question: str,
        choices: list[str],
        context: str = "",
        caption: str = "",
        image: dspy.Image | None = None,
        choice_images: Sequence[dspy.Image] = (),
    ) -> dspy.Prediction:
        """Answer one question; the prediction's `answer` is a letter where the reply names one choice."""
        texts = {"question": question, "context": context, "choices": choices, "caption": caption}
        inputs = self._asked({**texts, "image": image, "choice_images": list(choice_images)})
        prediction = self.answer(**inputs, demos=as_asked(self.predictors()[0].demos, self._asked))
        prediction.answer = parse_letter(prediction.answer, choices) or prediction.answer
        return prediction

    def _asked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The predictor's inputs: choices with their letters, unless they are a text that has them."""
        if isinstance(given["choices"], str):
            return dict(given)
        lettered = "\n".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, given["choices"], strict=False))
        fields = self.predictors()[0].signature.input_fields
        return {name: given[name] for name in fields if name in given} | {"choices": lettered}

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
