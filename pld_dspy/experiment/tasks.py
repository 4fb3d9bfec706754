"""A program and the examples that it is compiled and scored on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import dspy
import orjson

from pld_dspy.datasets import BadImage, load
from pld_dspy.embedders import Embedder
from pld_dspy.errors import PLDError
from pld_dspy.plugins import named
from pld_dspy.run import Usage
from pld_dspy.student import Metric, metric_of
from pld_dspy.student.routing import routed_by_state


@dataclass(frozen=True)
class Task:
    """A program and the examples that it is compiled and scored on, by split."""

    name: str
    source: str
    program: dspy.Module
    examples: dict[str, list[dspy.Example]]
    modality: str = "image"
    skipped: list[BadImage] = field(default_factory=list)  # of examples that were left out
    usage: dict[str, Usage] = field(default_factory=dict)  # of a describer, by role

    @property
    def metric(self) -> Metric:
        """The program's own metric, or exact match."""
        return metric_of(self.program)


def load_task(
    name: str,
    source: str,
    sizes: dict[str, int],
    *,
    modality: str = "image",
    program_settings: Mapping[str, Any] | None = None,
    data_settings: Mapping[str, Any] | None = None,
    **loading: Any,
) -> Task:
    """Find a program by its entry-point name, and load its benchmark.

    Args:
        name: registered under the entry-point group `pld_dspy.programs`.
        source: "sample", "hub", "hub:NAME" or a folder.
        sizes: at most so many examples of each split that is named.
        modality: what the program gets of a figure; a program whose constructor does not take it can only be "image".
        program_settings: further arguments of the program's constructor, such as `reasoning=True`.
        data_settings: further arguments of the benchmark's loader, such as `longest_side=768`.
        loading: further arguments of `pld_dspy.datasets.load`, such as `seed` and `on_bad_image`.

    Raises:
        PLDError: there is no such program, setting or data.
    """
    made: Callable[..., dspy.Module] = named("programs", name, {}, "program")
    if "modality" in (program_settings or {}):
        raise PLDError("modality is no setting of the program, but has an option of its own.")
    settings = {**({} if modality == "image" else {"modality": modality}), **(program_settings or {})}
    try:
        program = made(**settings)
    except TypeError as error:
        raise PLDError(f"The program {name} does not take these settings: {error}.") from error
    dataset = getattr(program, "dataset", name)
    own = dict(data_settings or {})
    if taken := own.keys() & signature(load).parameters.keys():
        raise PLDError(f"{', '.join(sorted(taken))} is no setting of the data, but has an option of its own.")
    loaded = {
        split: load(dataset, split, source, limit=size, modality=modality, **loading, **own)
        for split, size in sizes.items()
    }
    skipped = [fault for examples in loaded.values() for fault in examples.skipped]
    return Task(name, source, program, dict(loaded), modality, skipped)


def load_program(program: dspy.Module, path: str | Path, embedder: Embedder | None = None) -> dspy.Module:
    """A copy of a program with a compiled program's state.

    Args:
        program: of the same class and settings as the compiled one.
        path: what `compiled.save` or a compile wrote.
        embedder: for rules that are chosen by the question, where their embedder is behind an address.

    Raises:
        PLDError: the file is missing, is not the state of such a program, or was compiled with other fields, as those
            of another modality.
    """
    own = _read_fields(program.dump_state())
    try:
        state = orjson.loads(Path(path).read_bytes())
        compiled = _read_fields(state)
        if compiled == own:
            loaded = routed_by_state(program, state, embedder)
            # A model that was saved with the program is left out: who loads it names the model.
            loaded.load_state({name: {**part, "lm": None} for name, part in state.items() if name != "metadata"})
            return loaded
    except FileNotFoundError as error:
        raise PLDError(f"There is no compiled program {path}.") from error
    except PLDError:
        raise
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PLDError(f"{path} is not the state of a {type(program).__name__}: {error!r}.") from error
    raise PLDError(
        f"{path} was compiled with other settings, such as the modality: it asks with {compiled}; this program "
        f"with {own}."
    )


def _read_fields(state: dict[str, Any]) -> str:
    """The predictors of a program's state with their fields, which DSPy would else pair by their order."""
    return "; ".join(
        f"{name}: {', '.join(field['prefix'].rstrip(':').lower() for field in predictor['signature']['fields'])}"
        for name, predictor in sorted(state.items())
        if name != "metadata"
    )
