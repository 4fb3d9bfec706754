"""What a student program may offer besides its predictors. Everything is optional: any `dspy.Module` compiles."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import dspy

from pld_dspy.errors import PLDError
from pld_dspy.examples import labelled_predictors
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

    Without a method of the program's own it is the values of the output fields.
    """
    if hasattr(program, "in_words"):
        return str(program.in_words(example, answer))
    values = [answer.get(name) for name in answer if name in outputs_of(program) - {"reasoning"}]
    return "\n".join(str(value) for value in values if value not in (None, ""))


def exact_match(program: dspy.Module) -> Metric:
    """The metric of a program that has none: all labelled output fields equal the labels, but for case and spaces."""
    outputs = outputs_of(program)

    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        def same(name: str) -> bool:
            return str(example[name]).strip().casefold() == str(prediction.get(name)).strip().casefold()

        labelled = [name for name in example.labels() if name in outputs]
        if not labelled:
            raise PLDError(f"The labels {', '.join(example.labels())} are not outputs of the program: give a metric.")
        return float(all(same(name) for name in labelled))

    metric.__name__ = "exact match of " + ", ".join(sorted(outputs))
    return metric


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
    return sound(" ".join(str(value).split())) or UNKNOWN if value is not None else UNKNOWN


def outputs_of(program: dspy.Module) -> set[str]:
    """The output fields of all predictors."""
    return {name for predictor in program.predictors() for name in predictor.signature.output_fields}


def tasks_of(program: dspy.Module) -> dict[str, str]:
    """What its predictors are told to do, by their names."""
    return {name: predictor.signature.instructions for name, predictor in program.named_predictors()}
