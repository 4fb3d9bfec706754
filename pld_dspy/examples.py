"""Training examples as ids, labels and text: what phases and files need to know of a `dspy.Example`."""

import copy
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from operator import is_
from typing import Any, NamedTuple

import dspy
from dspy.adapters.utils import serialize_for_json
from pydantic import BaseModel

from pld_dspy.errors import PLDError
from pld_dspy.identity import fingerprint
from pld_dspy.pictures import ready
from pld_dspy.rules.wording import sound
from pld_dspy.settings import without_addresses

ID_FIELDS = ("pid", "question_id", "id")
RATIONALE_FIELDS = ("rationale", "lecture", "solution", "explanation", "reasoning")
MOST_CHARACTERS = 4_000  # of what JSON does not have, as an array or a table
DEEPEST = 12  # what is nested deeper is not shown


class Case(NamedTuple):
    """An example's inputs as the teacher reads them: text with `[figure k]` marks, and the figures."""

    text: str
    figures: list[dspy.Image]


def example_id(example: dspy.Example) -> str:
    """The example's own id, or its fingerprint; always this for one that `told_apart` has found to share its id."""
    if "_by_content" in vars(example):
        return fingerprint(example)
    for field in ID_FIELDS:
        if not blank(example.get(field)):
            return str(example[field])
    return fingerprint(example)


def told_apart(examples: Sequence[dspy.Example]) -> list[dspy.Example]:
    """The same examples, and in place of those whose id is also that of another one copies that go by their content.

    Examples that are equal in all their fields keep the id that they share.
    """
    ids = [example_id(example) for example in examples]
    times = Counter(ids)
    contents = {(id, fingerprint(each)) for id, each in zip(ids, examples, strict=True) if times[id] > 1}
    others = Counter(id for id, _ in contents)
    apart = []
    for id, example in zip(ids, examples, strict=True):
        if others[id] > 1:
            example = copy.copy(example)
            example._by_content = True
        apart.append(example)
    return apart


def prepared(example: dspy.Example, name: str) -> dspy.Example:
    """An example as it can be sent and written: its own pictures `pictures.ready`, and no halves of characters in its
    texts, wherever they stand; itself where nothing changes.

    Raises:
        PLDError: a picture cannot be used; `name` says of which example.
    """

    def made(value: Any) -> Any:
        if isinstance(value, str):
            return sound(value) if type(value) is str else value
        if isinstance(value, dspy.Image):
            return ready(value)
        if type(value) in (list, tuple):
            parts = [made(part) for part in value]
            return value if all(map(is_, parts, value)) else type(value)(parts)
        if type(value) is dict:
            named = {made(name): made(part) for name, part in value.items()}
            return value if all(map(is_, [*named, *named.values()], [*value, *value.values()])) else named
        if isinstance(value, BaseModel):
            fields = dict(value)
            return value if (new := made(fields)) is fields else value.model_copy(update=new)
        return value

    try:
        changed = {field: new for field, value in example.items() if (new := made(value)) is not value}
    except ValueError as error:
        raise PLDError(f"Example {name} has a picture which {error}.") from error
    return example.copy(**changed) if changed else example


def blank(value: Any) -> bool:
    """Whether a field says nothing."""
    return value is None or (isinstance(value, str) and not value)


def present(inputs: Mapping[str, Any], first_figure: int = 1) -> Case:
    """Render inputs of any type as text and figures, wherever these stand; they are numbered from `first_figure`."""
    figures: list[dspy.Image] = []

    def mark(figure: dspy.Image) -> str:
        figures.append(figure)
        return f"[figure {first_figure + len(figures) - 1}]"

    def text_of(value: Any) -> str:
        if isinstance(value, list | tuple):
            return "\n".join(text_of(item) for item in value)
        return written(value, mark)

    lines = []
    for name, value in inputs.items():
        if blank(value) or (isinstance(value, list | tuple) and not value):
            continue
        text = text_of(value)
        lines.append(f"{name}:\n{text}" if "\n" in text else f"{name}: {text}")
    return Case("\n".join(lines), figures)


def has_options(example: dspy.Example) -> bool:
    """Whether an example has options with letters: its answer is a letter, or it lists (A) and (B)."""
    texts = [value for value in example.values() if isinstance(value, str)]
    return any(re.fullmatch(r"\W*[A-H]\W*", text) or ("(A)" in text and "(B)" in text) for text in texts)


def written(value: Any, mark: Callable[[dspy.Image], str] = lambda figure: "[figure]") -> str:
    """A value as text, in the form in which DSPy's adapters show it and have it written: JSON for what is no text or
    number, an Enum's value; what JSON does not have, without addresses and bounded. `mark` stands for figures."""
    known = _as_json(value, mark)
    return json.dumps(known, ensure_ascii=False) if isinstance(known, dict | list) else str(known)


def _as_json(value: Any, mark: Callable[[dspy.Image], str], within: tuple[int, ...] = ()) -> Any:
    found: list[dspy.Image] = []

    def marked(figure: dspy.Image) -> str:
        found.append(figure)
        return mark(figure)

    def inside(part: Any) -> Any:
        return _as_json(part, marked, (*within, id(value)))

    if value is None or (isinstance(value, str | int | float) and not isinstance(value, Enum)):
        return value
    if id(value) in within or len(within) > DEEPEST:
        return "…"
    if isinstance(value, dspy.Image):
        return mark(value)
    if isinstance(value, dspy.Audio | dspy.File):
        return f"[{type(value).__name__.lower()}]"
    if isinstance(value, BaseModel):
        shown = {name: inside(field) for name, field in value}
        return shown if found else serialize_for_json(value)
    if isinstance(value, Mapping | dspy.Example):
        return {str(inside(name)): inside(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [inside(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((inside(item) for item in value), key=str)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: inside(getattr(value, field.name)) for field in fields(value)}
    if type(value).__str__ is object.__str__ and type(value).__repr__ is object.__repr__ and hasattr(value, "__dict__"):
        shown = inside(vars(value))  # all that could be said of the object itself would be its address
        text = json.dumps(shown, ensure_ascii=False)
        return shown if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    shown = serialize_for_json(value)
    return without_addresses(shown)[:MOST_CHARACTERS] if isinstance(shown, str) else shown


def answer_fields(program: dspy.Module) -> dict[str, dict[str, Any]]:
    """By predictor, the outputs that answer something, with their types: a label of such a name is a label, whatever it
    is called.

    The reasoning that a ChainOfThought puts in front of its signature's own outputs answers nothing.
    """
    thinking = {id(module.predict) for _, module in program.named_sub_modules(dspy.ChainOfThought)}
    return {
        name: {
            field: info.annotation
            for field, info in part.signature.output_fields.items()
            if field != "reasoning" or id(part) not in thinking
        }
        for name, part in program.named_predictors()
    }


def rationale(example: dspy.Example, answers: Collection[str] = ()) -> str:
    """The explanations that came with the data, or ""; a field that is one of the program's answers is none."""
    labels = {name: value for name, value in example.labels().items() if name not in answers}
    return "\n".join(str(labels[name]) for name in RATIONALE_FIELDS if not blank(labels.get(name)))


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
        labels = {name for example in trainset for name, value in example.labels().items() if not blank(value)}
    except ValueError as error:
        raise PLDError(
            "A training example does not say what its inputs are: call .with_inputs(...) on each."
        ) from error
    answers = answer_fields(student)
    labels -= {*RATIONALE_FIELDS, *ID_FIELDS} - {field for fields in answers.values() for field in fields}
    if not labels:
        raise PLDError("The training examples have no labels: give each one its answer and call .with_inputs(...).")
    learned = {name: [field for field in fields if field in labels] for name, fields in answers.items()}
    learned = {name: fields for name, fields in learned.items() if fields}
    return learned or {list(predictors)[-1]: sorted(labels)}
