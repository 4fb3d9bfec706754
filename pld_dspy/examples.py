"""Training examples as ids, labels and text: what phases and files need to know of a `dspy.Example`."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import dspy

from pld_dspy.errors import PLDError

ID_FIELDS = ("pid", "question_id", "id")
RATIONALE_FIELDS = ("rationale", "lecture", "solution", "explanation")


class Case(NamedTuple):
    """An example's inputs as the teacher reads them: text with `[figure k]` marks, and the figures."""

    text: str
    figures: list[dspy.Image]


def example_id(example: dspy.Example) -> str:
    """The example's own id, or the first twelve hexadecimal digits of a hash of its content."""
    for field in ID_FIELDS:
        if example.get(field) not in (None, ""):
            return str(example[field])
    return fingerprint(example)


def fingerprint(example: dspy.Example) -> str:
    """A hash of all of an example's fields, images included, as models get them."""

    def text_of(value: Any) -> str:
        if isinstance(value, list | tuple):
            return "\x1d".join(text_of(item) for item in value)
        return str(value)

    content = "\x1e".join(f"{name}\x1f{text_of(value)}" for name, value in sorted(example.items()))
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:12]


def present(inputs: dict[str, Any], first_figure: int = 1) -> Case:
    """Render inputs of any type as text and figures; figures are numbered from `first_figure`."""
    figures: list[dspy.Image] = []

    def text_of(value: Any) -> str:
        if isinstance(value, dspy.Image):
            figures.append(value)
            return f"[figure {first_figure + len(figures) - 1}]"
        if isinstance(value, list | tuple):
            return "\n".join(text_of(item) for item in value)
        return str(value)

    lines = []
    for name, value in inputs.items():
        if value in (None, "", []):
            continue
        text = text_of(value)
        lines.append(f"{name}:\n{text}" if "\n" in text else f"{name}: {text}")
    return Case("\n".join(lines), figures)


def has_options(example: dspy.Example) -> bool:
    """Whether an example has options with letters: its answer is a letter, or it lists (A) and (B)."""
    texts = [str(value) for value in example.toDict().values() if isinstance(value, str)]
    return any(re.fullmatch(r"\W*[A-H]\W*", text) or ("(A)" in text and "(B)" in text) for text in texts)


def rationale(example: dspy.Example) -> str:
    """The explanations that came with the data, or ""."""
    labels = example.labels()
    return "\n".join(str(labels[name]) for name in RATIONALE_FIELDS if labels.get(name))


def labelled_predictors(student: dspy.Module, trainset: Sequence[dspy.Example]) -> dict[str, list[str]]:
    """The predictors that can learn rules, each with its output fields that the examples label.

    A predictor whose outputs no example labels has nothing to learn from. Where the examples label other names only
    (a program that renames its last predictor's output), the last predictor learns from all labels.

    Raises:
        PLDError: the student has no predictor, or the examples do not say what their inputs are or have no labels.
    """
    predictors = dict(student.named_predictors())
    if not predictors:
        raise PLDError(f"{type(student).__name__} has no predictor (dspy.Predict) to write rules for.")
    try:
        labels = {name for example in trainset for name, value in example.labels().items() if value not in (None, "")}
    except ValueError as error:
        raise PLDError(
            "A training example does not say what its inputs are: call .with_inputs(...) on each."
        ) from error
    labels -= {*RATIONALE_FIELDS, *ID_FIELDS}
    if not labels:
        raise PLDError("The training examples have no labels: give each one its answer and call .with_inputs(...).")
    learned = {
        name: [field for field in predictor.signature.output_fields if field in labels]
        for name, predictor in predictors.items()
    }
    learned = {name: fields for name, fields in learned.items() if fields}
    return learned or {list(predictors)[-1]: sorted(labels)}
