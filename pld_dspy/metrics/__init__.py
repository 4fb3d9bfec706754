"""Per-benchmark scores, and the measures that can be added to them."""

from functools import partial

from pld_dspy.metrics.l3score import L3Score, l3score_from_logprobs
from pld_dspy.metrics.measures import Measure, MeasureScores, TextMeasure
from pld_dspy.metrics.overlap import bertscore, cider, meteor, rouge_l
from pld_dspy.plugins import named

__all__ = [
    "L3Score",
    "Measure",
    "MeasureScores",
    "TextMeasure",
    "bertscore",
    "bertscore_by",
    "cider",
    "l3score_from_logprobs",
    "measure",
    "meteor",
    "rouge_l",
]

MEASURES: dict[str, Measure] = {
    "rouge_l": TextMeasure("ROUGE-L", rouge_l),
    "meteor": TextMeasure("METEOR", meteor),
    "cider": TextMeasure("CIDEr", cider),
}


def measure(name: str) -> Measure:
    """A measure by its name: rouge_l, meteor, cider, or one that a package registers; PLDError if there is none."""
    return named("measures", name, MEASURES, "measure")


def bertscore_by(encoder: str) -> Measure:
    """BERTScore as a measure, by an encoder as `bertscore` takes it."""
    return TextMeasure("BERTScore", partial(bertscore, encoder=encoder))
