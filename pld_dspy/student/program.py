"""What a student program may offer besides its predictors. Everything is optional: any `dspy.Module` compiles."""

import contextlib
import string
from collections.abc import Callable, Mapping, Sequence, Set
from enum import Enum
from typing import Any, Literal, Protocol, get_args, get_origin

import dspy
import numpy as np
from dspy.adapters.utils import parse_value, serialize_for_json
from dspy.evaluate.metrics import normalize_text
from pydantic import BaseModel, TypeAdapter

from pld_dspy.errors import PLDError
from pld_dspy.examples import answer_fields, blank, labelled_predictors, written
from pld_dspy.rules.wording import sound

Metric = Callable[..., float | bool]

MOST_VALUES = 12  # of a label that is taken for a class; what has more is an answer of its own for each question
UNKNOWN = "unknown"


class Student(Protocol):
    """The attributes and methods that this package looks for in a program; `programs/scienceqa.py` has them all.

    Attributes:
        dataset: the entry-point name of its data, where that is not the program's own.
        strata: fields of its examples that diagnosis draws by and that coverage is counted by; else its labels with few
            values.
    """

    dataset: str
    strata: Sequence[str]

    def metric(self, example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        """A fraction; else `exact_match` of the labelled outputs."""

    def in_words(self, example: dspy.Example, answer: dspy.Prediction | dspy.Example) -> str:
        """An answer as a person would say it, for programs whose answers mean nothing by themselves, as a letter."""

    def sample(self) -> dict[str, list[dspy.Example]]:
        """The splits `train` and `val` that `compile(student)` takes where no training set is passed."""

    def breakdown(
        self, examples: Sequence[dspy.Example], items: Sequence[Any], more: Mapping[str, Sequence[float]]
    ) -> Any:
        """The benchmark's table, a `metrics.breakdown.Breakdown`: of examples, the `student.Scored` that came of them,
        and further measures with a score for each."""


def metric_of(program: dspy.Module) -> Metric:
    """The program's own metric, else exact match."""
    return getattr(program, "metric", None) or exact_match(program)


def sample_of(program: dspy.Module) -> dict[str, list[dspy.Example]]:
    """The program's sample.

    Raises:
        PLDError: it declares none.
    """
    if not hasattr(program, "sample"):
        raise PLDError(f"{type(program).__name__} declares no sample: pass a trainset to compile().")
    return program.sample()


def breakdown_of(
    program: dspy.Module,
    examples: Sequence[dspy.Example],
    items: Sequence[Any],
    more: Mapping[str, Sequence[float]] | None = None,
) -> Any:
    """The program's own table of its answers; None where it has none."""
    return program.breakdown(examples, items, more or {}) if hasattr(program, "breakdown") else None


def in_words(program: dspy.Module, example: dspy.Example, answer: dspy.Prediction | dspy.Example) -> str:
    """An answer (a prediction, or the example's own labels) as a person would say it: the one place that decides it.

    Without a method of the program's own it is the values of the output fields, as the student writes them.
    """
    if hasattr(program, "in_words"):
        return str(program.in_words(example, answer))
    answers = {field for fields in answer_fields(program).values() for field in fields}
    values = [answer.get(name) for name in answer if name in answers]
    return "\n".join(written(value) for value in values if not blank(value))


def exact_match(program: dspy.Module) -> Metric:
    """The metric of a program that has none: all labelled output fields are the `same_answer` as the labels."""
    outputs = {name: kind for fields in answer_fields(program).values() for name, kind in fields.items()}

    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        def same(name: str) -> bool:
            return same_answer(outputs[name], example[name], prediction.get(name))

        labelled = [name for name in example.labels() if name in outputs]
        if not labelled:
            raise PLDError(f"The labels {', '.join(example.labels())} are not outputs of the program: give a metric.")
        return float(all(same(name) for name in labelled))

    metric.__name__ = "exact match of " + ", ".join(sorted(outputs))
    return metric


def same_answer(annotation: Any, label: Any, answer: Any) -> bool:
    """Whether an answer is the label's, both taken as values of the output field's type.

    Texts are the same if DSPy's `answer_exact_match` says so, unless they are two different numbers, or nothing but
    signs and articles. For a field of the type `str` a list of labels names answers each of which is right.
    """
    try:
        if annotation is str:
            return any(_equal(right, answer) for right in (label if isinstance(label, list) else [label]))
        label, answer = _typed(annotation, label), _typed(annotation, answer)
        if get_origin(annotation) is Literal and label in get_args(annotation) and answer in get_args(annotation):
            return label == answer  # as C and C++, which differ by signs only
        return _equal(label, answer)
    except Exception:  # of values that are anybody's objects
        return False


def _typed(annotation: Any, value: Any) -> Any:
    """A value as one of the type, read as DSPy reads a reply if it is a text; else as it is."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    for given in (value, serialize_for_json(value)):
        for read in (parse_value, lambda given, kind: TypeAdapter(kind).validate_python(given)):
            with contextlib.suppress(Exception):
                return read(given, annotation)
    return value


def _equal(label: Any, answer: Any) -> bool:
    if isinstance(label, Enum) and type(label) is type(answer):
        return label is answer
    label, answer = _plain(label), _plain(answer)
    if label is None or answer is None:
        return label is answer
    if isinstance(label, str) or isinstance(answer, str):
        return _same_text(str(label), str(answer))
    if isinstance(label, Mapping) and isinstance(answer, Mapping):
        return label.keys() == answer.keys() and all(_equal(label[name], answer[name]) for name in label)
    if isinstance(label, list | tuple) and isinstance(answer, list | tuple):
        return len(label) == len(answer) and all(map(_equal, label, answer))
    if isinstance(label, Set) and isinstance(answer, Set):
        return len(label) == len(answer) and all(any(_equal(one, other) for other in answer) for one in label)
    return bool(label == answer)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    return dict(value) if isinstance(value, BaseModel) else value


def _same_text(label: str, answer: str) -> bool:
    with contextlib.suppress(ValueError):
        if float(label) != float(answer):  # as -5 and 5, or 1.5 and 15, which differ by signs only
            return label.casefold().split() == answer.casefold().split()
    normal, other = normalize_text(label), normalize_text(answer)
    return normal == other if normal and other else _bare(label) == _bare(answer)


def _bare(text: str) -> list[str]:
    """The words of a text that is nothing but articles, as the letter A, or signs."""
    return "".join(sign for sign in text.casefold() if sign not in string.punctuation).split() or text.split()


def strata_of(program: dspy.Module, trainset: Sequence[dspy.Example]) -> tuple[str, ...]:
    """The fields that a program's examples are grouped by: its own `strata`, else its labels with few values.

    Raises:
        PLDError: the program declares none, and has no predictor or its examples no labels.
    """
    declared = getattr(program, "strata", None)
    if declared is not None:
        return tuple(declared)
    fields = dict.fromkeys(field for fields in labelled_predictors(program, trainset).values() for field in fields)
    values = {field: {value_of(example, field) for example in trainset} - {UNKNOWN} for field in fields}
    return tuple(field for field, known in values.items() if len(known) <= min(MOST_VALUES, len(trainset) / 2))


def value_of(example: dspy.Example, field: str) -> str:
    """The value of a stratum's field as a name; "unknown" where there is none."""
    value: Any = example.get(field)
    return sound(" ".join(written(value).split())) or UNKNOWN if value is not None else UNKNOWN


def outputs_of(program: dspy.Module) -> set[str]:
    """The output fields of all predictors."""
    return {name for predictor in program.predictors() for name in predictor.signature.output_fields}


def tasks_of(program: dspy.Module) -> dict[str, str]:
    """What its predictors are told to do, by their names."""
    return {name: predictor.signature.instructions for name, predictor in program.named_predictors()}
