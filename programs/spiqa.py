"""SPIQA: a question about a paper with several figures and their captions, answered at once or from the right one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy
from dspy.evaluate.metrics import f1_score

from pld_dspy.datasets import load
from pld_dspy.datasets.spiqa import MODALITIES
from pld_dspy.errors import PLDError
from pld_dspy.metrics.spiqa import parse_figure, spiqa_breakdown
from pld_dspy.programs.demonstrations import as_asked
from pld_dspy.settings import one_of, truth_value


class AskPaper(dspy.Signature):
    """What can be given of a paper. What its questions have in common comes first: servers read it only once."""

    captions: list[str] = dspy.InputField(desc="of the paper's figures and tables, each with the number of its image")
    figures: list[dspy.Image] = dspy.InputField(desc="the paper's figures and tables, in the order of their numbers")
    passages: str = dspy.InputField(desc="the paper's text")
    question: str = dspy.InputField()


GIVEN = {  # by modality: the fields, and their name in the instructions
    "image": (("captions", "figures"), "its figures and tables"),
    "figures": (("figures",), "its figures and tables"),
    "caption": (("captions",), "the captions of its figures and tables"),
    "describe": (("captions",), "the captions and descriptions of its figures and tables"),
    "text": ((), "its text"),
}
FIND = (
    "Find the figure or table of a scientific paper that answers the question. You get {}. "
    "Reply with the number of its image and nothing else."
)
ANSWER = (
    "Answer the question about a scientific paper from {}.{} Answer in a few words, without a sentence around them."
)
FIRST_FIND = " First find the figure that the question is about."


class SPIQA(dspy.Module):
    """The SPIQA student.

    Args:
        modality: what it gets of a paper: "image" (figures and captions), "figures", "caption", "describe" (captions
            with descriptions) or "text", or one of the first four with "+text".
        reasoning: let the model think step by step before it answers. Off by default: answering directly is what
            prompt-level distillation is for.
        retrieval: find the figure first, with a predictor of its own, and answer from that one only.

    Raises:
        PLDError: there is no such modality, or it has nothing to find.
    """

    dataset = "spiqa"
    strata = ("figure_type",)  # answers are free text, and the paper's name says nothing about a question
    breakdown = staticmethod(spiqa_breakdown)

    def __init__(self, modality: str = "image", reasoning: bool = False, retrieval: bool = False) -> None:
        super().__init__()
        shown = one_of(modality, MODALITIES, "SPIQA's modality").removesuffix("+text")
        fields, source = GIVEN[shown]
        if truth_value(retrieval, "retrieval") and not fields:
            raise PLDError(
                f"There is no figure to find with the modality {modality!r}: it has neither figures nor captions."
            )
        if modality.endswith("text"):
            fields = (*fields, "passages")
            source = source if shown == "text" else f"{source} and from its text"
        signature = AskPaper
        for name in AskPaper.input_fields.keys() - {*fields, "question"}:
            signature = signature.delete(name)
        predict = dspy.ChainOfThought if truth_value(reasoning, "reasoning") else dspy.Predict
        if retrieval:
            number = dspy.OutputField(desc="the number of the image")
            self.find = predict(signature.append("figure", number, str).with_instructions(FIND.format(source)))
        first = FIRST_FIND if GIVEN[shown][0] and not retrieval else ""
        words = dspy.OutputField(desc="a few words")
        self.answer = predict(signature.append("answer", words, str).with_instructions(ANSWER.format(source, first)))
        self.fields, self.retrieval = (*fields, "question"), retrieval

    def forward(
        self,
        question: str,
        captions: Sequence[str] = (),
        figures: Sequence[dspy.Image] = (),
        passages: str = "",
    ) -> dspy.Prediction:
        """Answer one question in a few words.

        With retrieval the prediction has `figure`, a number where the reply names one figure; where it does not, the
        question is answered from all.
        """
        inputs = self._asked({"question": question, "captions": captions, "figures": figures, "passages": passages})
        if not self.retrieval:
            return self._ask(self.answer, inputs, self._asked)
        reply = str(self._ask(self.find, inputs, self._asked).figure)
        number = _number(inputs, reply)
        prediction = self._ask(self.answer, _narrowed(inputs, number), self._asked_of_figure)
        prediction.figure = reply if number is None else str(number)
        return prediction

    def _ask(
        self, predict: dspy.Module, inputs: dict[str, Any], inputs_of: Callable[[dspy.Example], dict[str, Any]]
    ) -> dspy.Prediction:
        return predict(**inputs, demos=as_asked(predict.predictors()[0].demos, inputs_of))

    def _asked(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """A predictor's inputs: captions with the numbers of their images."""
        captions = enumerate(example.get("captions") or (), start=1)
        lists = {
            "captions": [f"Image {number}: {caption}" for number, caption in captions],
            "figures": list(example.get("figures") or ()),
        }
        return {name: lists.get(name, example.get(name)) for name in self.fields}

    def _asked_of_figure(self, example: dspy.Example) -> dict[str, Any]:
        """The inputs of a labelled example with its own figure only."""
        inputs = self._asked(example)
        return _narrowed(inputs, _number(inputs, str(example.get("figure"))))

    def in_words(self, example: dspy.Example, answer: dspy.Prediction | dspy.Example) -> str:
        """An answer, and the caption of the figure that was found: the teacher is to write no rules about numbers."""
        parts = []
        if answer.get("figure") and (self.retrieval or "answer" not in answer):
            number = parse_figure(answer.figure, len(example.captions))
            caption = f"with the caption: {example.captions[number - 1]}" if number else answer.figure
            parts.append(f"the figure {caption}")
        if "answer" in answer:
            parts.append(str(answer.answer))
        return "\n".join(parts)

    @staticmethod
    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        """F1 of the words that answer and gold answer share, after SQuAD's normalisation."""
        return float(f1_score(str(prediction.answer), example.answer))

    @staticmethod
    def sample() -> dict[str, list[dspy.Example]]:
        """The splits `train` and `val` of the generated sample that `compile(student)` uses by default."""
        return {"train": load("spiqa", "train", limit=80), "val": load("spiqa", "val", limit=60)}


def _number(inputs: Mapping[str, Any], reply: str) -> int | None:
    """The number of the figure that a reply names."""
    return parse_figure(reply, max(len(value) for value in inputs.values() if isinstance(value, list)))


def _narrowed(inputs: dict[str, Any], number: int | None) -> dict[str, Any]:
    """Inputs with one figure only; with all where none is named."""
    if number is None:
        return inputs
    return {name: value[number - 1 : number] if isinstance(value, list) else value for name, value in inputs.items()}
