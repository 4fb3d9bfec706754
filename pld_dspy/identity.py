"""What counts as the same: fingerprints of programs, metrics and data, by which scores and runs are taken up again."""

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import dspy

from pld_dspy.examples import fingerprint


def program_fingerprint(program: dspy.Module) -> str:
    """A hash of what makes two wordings of a program differ: instructions, fields, demonstrations and routing."""

    def state(name: str, predictor: Any) -> list[Any]:
        routing = getattr(predictor, "routing", None)  # of a `routing.RoutedPredict`
        demos = [dict(demo) for demo in predictor.demos]
        return [name, predictor.signature.dump_state(), demos, *([routing.model_dump_json()] if routing else [])]

    states = [state(name, predictor) for name, predictor in program.named_predictors()]
    return digest(json.dumps(states, default=str, sort_keys=True))


def data_fingerprint(examples: Iterable[dspy.Example]) -> str:
    """A hash of all fields of examples, in their order."""
    return digest("".join(map(fingerprint, examples)))


def metric_fingerprint(metric: Callable[..., Any]) -> str:
    """A metric by its name and a hash of its code, where it has some, as two lambdas have the same name."""
    name = getattr(metric, "__qualname__", type(metric).__name__)
    code = getattr(metric, "__code__", None)
    if code is None:
        return name
    consts = [const for const in code.co_consts if not hasattr(const, "co_code")]  # whose text holds an address
    return f"{name} {digest(repr((code.co_code, code.co_names, consts)))}"


def digest(text: str) -> str:
    """The first twelve hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
