"""What goes into a program: rows of data as examples, and an example's inputs as a call."""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from inspect import getattr_static, signature
from typing import Any

import dspy

from pld_dspy.errors import PLDError
from pld_dspy.examples import prepared


def examples_of(program: dspy.Module, rows: Iterable[Any]) -> list[dspy.Example]:
    """Rows as examples: dictionaries, rows of a `datasets.Dataset`, and examples that do not say what their inputs are.

    Inputs are the fields that the program takes, by its predictors' signatures or its `forward`, and that none of its
    predictors gives; the others are labels. An example that says what its inputs are is believed. Pictures are made
    ready as those of the benchmarks are, wherever they stand in a field.

    Raises:
        PLDError: a row is something else, has none of the program's inputs, or a picture that cannot be used; or the
            program has no `forward`.
    """
    if isinstance(rows, Mapping | str) or not isinstance(rows, Iterable):
        raise PLDError(f"The examples come as {type(rows).__name__}: give a list of them, or one split of a data set.")
    signatures = [predictor.signature for predictor in program.predictors()]
    calls: list[Any] = [getattr_static(program, name) for name in ("forward", "aforward") if _has(program, name)]
    if not calls:
        raise PLDError(f"The program {type(program).__name__} has no forward: it can be asked nothing.")
    parameters = [*signature(calls[0]).parameters.values()]
    taken = {name for one in signatures for name in one.input_fields}
    taken |= {one.name for one in parameters[1:] if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    inputs = taken - {name for one in signatures for name in one.output_fields}

    def example(number: int, row: Any) -> dspy.Example:
        if isinstance(row, dspy.Example) and getattr(row, "_input_keys", None) is not None:
            return row
        if not isinstance(row, Mapping | dspy.Example):
            raise PLDError(f"Example {number} is a {type(row).__name__}: give dspy.Examples or dictionaries.")
        if not (own := [name for name in dict(row) if name in inputs]):
            there, wanted = ", ".join(map(str, dict(row))) or "nothing", ", ".join(sorted(inputs))
            raise PLDError(f"Example {number} has none of the inputs of the program ({wanted}), but {there}.")
        return dspy.Example({str(name): value for name, value in dict(row).items()}).with_inputs(*own)

    return [prepared(example(number, row), str(number)) for number, row in enumerate(rows, start=1)]


def answer(program: dspy.Module, example: dspy.Example) -> dspy.Prediction:
    """What a program makes of an example's inputs, also one that has only an `aforward`."""
    if _has(program, "forward"):
        return program(**example.inputs())
    with ThreadPoolExecutor(1) as apart:  # in a notebook, this thread may have a loop already
        return apart.submit(copy_context().run, asyncio.run, program.acall(**example.inputs())).result()


def _has(program: dspy.Module, method: str) -> bool:
    """Whether a program has a method; DSPy warns of who looks at `program.forward`."""
    return getattr_static(program, method, None) is not None
