"""The run folder: what a compile leaves on disk, and what it takes up again after an interruption."""

import contextlib
import os
import platform
import threading
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import dspy
import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from pld_dspy.errors import PLDError, reason
from pld_dspy.rules import RuleSet
from pld_dspy.run.usage import Usage

Line = TypeVar("Line", bound=BaseModel)

PACKAGES = ("pld-dspy", "dspy", "litellm", "scikit-learn", "optuna")  # whose versions a run keeps


class RunState(BaseModel):
    """What run.json says of a run."""

    status: str
    configuration: dict[str, Any]
    versions: dict[str, str]
    usage: dict[str, dict[str, Usage]] = {}  # by role and model


class RunFolder:
    """Writes a run's files, each whole or not at all; without a path it writes nothing.

    The folder appears with its first result, so a run that cannot start leaves nothing behind.

    Args:
        path: the folder; None to keep nothing.
        configuration: what must be the same for a run to be continued; None to add to the run that is there.

    Raises:
        PLDError: the folder holds something else, or a run with another configuration.
    """

    def __init__(self, path: str | Path | None, configuration: dict[str, Any] | None = None) -> None:
        self.path = Path(path) if path is not None else None
        self._lock = threading.Lock()
        earlier = self._earlier()
        if earlier is None:
            versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
            earlier = RunState(status="not started", configuration=configuration or {}, versions=versions)
        self.state = earlier
        old, new = earlier.configuration, earlier.configuration if configuration is None else configuration
        if changed := sorted(key for key in {*old, *new} if old.get(key) != new.get(key)):
            raise PLDError(f"{self.path} holds a run with another {', '.join(changed)}: give another folder.")

    def _earlier(self) -> RunState | None:
        try:
            if self.path is None or not self.path.exists():
                return None
        except OSError as error:
            raise PLDError(f"The folder {self.path} cannot be used: {error.strerror}.") from error
        if not self.path.is_dir():
            raise PLDError(f"{self.path} is a file: give a folder for the run.")
        if not any(self.path.iterdir()):
            return None
        try:
            return RunState.model_validate_json((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PLDError(f"{self.path} is not empty and holds no run: give another folder.") from error

    def write(self, name: str, content: str | BaseModel | Mapping[str, Any]) -> None:
        """Write a file whole: text as it is, anything else as indented JSON."""
        if self.path is None:
            return
        text = content if isinstance(content, str) else to_json(content, indent=2).decode() + "\n"
        target = self.path / name
        part = target.with_name(target.name + ".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, encoding="utf-8")
            os.replace(part, target)
        except OSError as error:
            raise PLDError(f"{target} cannot be written: {error.strerror}.") from error

    def status(self, status: str, usage: dict[str, dict[str, Usage]]) -> None:
        """Say in run.json how the run stands, if it has got as far as to have a folder."""
        self.state = self.state.model_copy(update={"status": status, "usage": usage})
        if self.path is not None and self.path.exists():
            self.write("run.json", self.state)

    def append(self, name: str, line: BaseModel) -> None:
        """Add a line to a JSONL file; safe from many threads. The first line makes the folder."""
        if self.path is None:
            return
        with self._lock:
            if not (self.path / "run.json").exists():
                self.state = self.state.model_copy(update={"status": "running"})
                self.write("run.json", self.state)
            try:
                append_line(self.path / name, line)
            except OSError as error:
                raise PLDError(f"{self.path / name} cannot be written: {error.strerror}.") from error

    def lines(self, name: str, kind: type[Line]) -> list[Line]:
        """Read a JSONL file back; see `read_lines`."""
        return [] if self.path is None else read_lines(self.path / name, kind)

    def clear(self, folder: str) -> None:
        """Remove the JSON files of a folder, which an interrupted run may have left."""
        for path in (self.path / folder).glob("*.json") if self.path is not None else ():
            path.unlink()

    def write_rules(self, rules: Mapping[str, RuleSet], number: int) -> None:
        """Write a version of all predictors' rules as rules/NNN.json."""
        self.write(f"rules/{number:03d}.json", rules)

    def write_program(self, program: dspy.Module) -> None:
        """Write the compiled program's state as program.json, and what the student reads as prompt.md.

        Raises:
            PLDError: one cannot be written; it is whole or not there.
        """
        if self.path is None:
            return
        parts = [f"# {name}\n\n{predictor.signature.instructions}\n" for name, predictor in program.named_predictors()]
        self.write("prompt.md", "\n".join(parts))
        part = self.path / "program.part.json"  # DSPy goes by the ending
        try:
            program.save(part)
            os.replace(part, self.path / "program.json")
        except Exception as error:
            part.unlink(missing_ok=True)
            cause = error.__context__ if isinstance(error.__context__, Exception) else error  # DSPy advises otherwise
            raise PLDError(f"{self.path / 'program.json'} cannot be written: {reason(cause)}.") from error

    def check_program(self, program: dspy.Module) -> None:
        """See whether a program can be saved, before anything is paid.

        Raises:
            PLDError: its state is no JSON, as of demonstrations that hold sets or bytes.
        """
        if self.path is None:
            return
        try:
            orjson.dumps(program.dump_state())
        except Exception as error:  # orjson's, DSPy's, or an engine's own
            name = type(program).__name__
            raise PLDError(f"The program {name} cannot be saved in {self.path}: {reason(error)}.") from error


def append_line(path: Path, line: BaseModel) -> None:
    """Add a line to a JSONL file; one at a time."""
    with path.open("a+b") as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            file.write(b"\n")  # an interruption cut the last line short
        file.write(line.model_dump_json().encode() + b"\n")


def read_lines(path: Path, kind: type[Line]) -> list[Line]:
    """Read a JSONL file, if it is there; a line that an interruption cut short is left out.

    Raises:
        PLDError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PLDError(f"{path} cannot be read: {error.strerror}.") from error
    lines = []
    for line in text.split("\n"):
        with contextlib.suppress(ValidationError):
            lines.append(kind.model_validate_json(line))
    return lines
