"""What the options that commands share come to."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import dspy
from pydantic import BaseModel
from rich.console import Console, RenderableType

from pld_dspy.datasets.describe import Describer, described_by, read_by_ocr
from pld_dspy.errors import PLDError
from pld_dspy.experiment import Task, load_task
from pld_dspy.experiment.plan import StandIn
from pld_dspy.models import language_model, simulated
from pld_dspy.models.embedders import Embedder, embedder
from pld_dspy.run import Budget, Runner, Usage
from pld_dspy.settings import parse_settings

Result = TypeVar("Result", bound=BaseModel)
Describe = Callable[[Sequence[dspy.Image]], list[str]]


def student_model(name: str, api_base: str | None, settings: list[str] | None, seed: int) -> dspy.LM:
    """The student's model: deterministic and brief unless its settings say otherwise, or it takes no such settings."""
    defaults = () if simulated(name) else ("temperature=0", "max_tokens=512")
    try:
        return language_model("student", name, api_base, [*defaults, *(settings or ())], seed)
    except PLDError:  # OpenAI's reasoning models, or the settings are at fault themselves
        return language_model("student", name, api_base, settings or (), seed)


def embedder_model(name: str | None, api_base: str | None) -> Embedder | None:
    """The embedder that is named, if one is."""
    if name is None and api_base is not None:
        raise PLDError("--embedder-api-base is the address of an embedder: name it with --embedder.")
    return None if name is None else embedder(name, api_base)


@contextlib.contextmanager
def resumable(folder: Path | None, option: str = "--log-dir") -> Iterator[None]:
    """Say at Ctrl-C how to go on in the folder, if there is one."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None:
            print(f"stopped; the same command with {option} {folder} goes on from here", file=sys.stderr)
        raise


class Describing:
    """Who describes figures, a model that sees or "ocr", if one is named; and what that takes.

    The descriptions are kept beside the folder, and the budget's caps hold here too. A dry run only counts figures.
    """

    def __init__(
        self, name: str | None, api_base: str | None, folder: Path, num_threads: int,
        budget: Budget | None = None, dry_run: bool = False,
    ) -> None:  # fmt: skip
        caps = (budget.max_lm_calls, budget.max_cost) if budget else (None, None)
        self._runner = Runner(num_threads, *caps, display_progress=True)
        self.stand_in = StandIn(name or "") if dry_run else None
        self.describe: Describe | None = self.stand_in
        if name is not None and not dry_run:
            write = read_by_ocr() if name == "ocr" else described_by(language_model("describer", name, api_base))
            self.describe = Describer(write, folder.parent / "descriptions.jsonl", self._runner)

    def usage(self) -> dict[str, Usage]:
        """What describing took, by role; nothing where no model was asked."""
        used = self._runner.meter("describer").total()
        return {"describer": used} if used.calls else {}


def task_of(
    program: str, data: str, sizes: dict[str, int], seed: int,
    program_setting: list[str] | None, data_setting: list[str] | None,
    modality: str, bad_images: Literal["stop", "skip"], describe: Describe | None,
) -> Task:  # fmt: skip
    """The program and its examples."""
    settings = parse_settings(program_setting or (), "The program's")
    own = parse_settings(data_setting or (), "The data's")
    loading = {"seed": seed, "describe": describe, "on_bad_image": bad_images}
    return load_task(program, data, sizes, modality=modality, program_settings=settings, data_settings=own, **loading)


def show(result: Result, table: Callable[[Result], RenderableType], json: bool) -> None:
    """Print a result as a table, on standard error where standard output is for one JSON object."""
    Console(stderr=json).print(table(result))
    if json:
        print(result.model_dump_json())
