"""SPIQA: the figure that a reply names, and a table of scores (Pramanick et al., NeurIPS 2024, arXiv:2407.09413)."""

import re
from collections.abc import Mapping, Sequence

import dspy

from pld_dspy.metrics.breakdown import Breakdown, break_down
from pld_dspy.student.evaluation import Evaluation, Scored

FIGURE_TYPES = ("plot", "schematic", "photograph", "table", "other")

_ONLY_NUMBER = re.compile(r"\W*(?:image\W{0,3})?([0-9]+)\W*", re.IGNORECASE)
_LISTED = re.compile(r"\W*(?:image\W{0,3})?([0-9]+)\s*:", re.IGNORECASE)  # as captions are listed in prompts
_MARKED = re.compile(r"\bimages?\W{0,3}([0-9]+(?:(?:\s|,|&|-|–|/|and\b|or\b|to\b)*[0-9]+)*)", re.IGNORECASE)


def parse_figure(text: str, n: int) -> int | None:
    """The number of the image that a reply names, or None where it names none of the `n`, or several.

    A lone number, "Image 2 shows it" and the beginning of a listed caption ("Image 2: ...") count. What stands behind
    the colon does not, nor does "Figure 2": such numbers are the paper's own.

    >>> parse_figure("Image 2 shows it.", 3)
    2
    """
    if match := _LISTED.match(text) or _ONLY_NUMBER.fullmatch(text):
        named = {int(match.group(1))}
    else:
        named = {int(number) for numbers in _MARKED.findall(text) for number in re.findall("[0-9]+", numbers)}
    number = named.pop() if len(named) == 1 else 0
    return number if 1 <= number <= n else None


def spiqa_breakdown(
    examples: Sequence[dspy.Example], items: Sequence[Scored], more: Mapping[str, Sequence[float]] | None = None
) -> Breakdown:
    """Scores by the type of the figure that answers the question, and over all, with further measures by name.

    Replies that cannot be read count as wrong; their share is a measure of its own. Where the figure was looked for
    first, retrieval is the share of questions for which one of the figures was named that the data refer to.
    """
    columns = {
        "word F1": Evaluation(items=list(items)).scores,
        "unreadable": [float("answer" not in item.outputs) for item in items],
    }
    if any("figure" in item.outputs for item in items):
        pairs = zip(examples, items, strict=True)
        columns["retrieval"] = [float(item.outputs.get("figure") in example.referred) for example, item in pairs]
    kinds = [{example.figure_type} for example in examples]
    return break_down(FIGURE_TYPES, kinds, {**columns, **(more or {})})
