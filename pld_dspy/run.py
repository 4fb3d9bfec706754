"""The run folder: what a compile leaves on disk, and what it takes up again after an interruption."""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import dspy
from pydantic import BaseModel, ValidationError

from pld_dspy.errors import PLDError
from pld_dspy.rules import RuleSet

Line = TypeVar("Line", bound=BaseModel)


class RunFolder:
    """Writes a run's files, each whole or not at all; without a path it writes nothing.

    The folder appears with its first result, so a run that cannot start leaves nothing behind.

    Args:
        path: the folder; None to keep nothing.
        configuration: what must be the same for a run to be continued.

    Raises:
        PLDError: the folder holds something else, or a run with another configuration.
    """

    def __init__(self, path: str | Path | None, configuration: dict[str, Any]) -> None:
        self.path = Path(path) if path is not None else None
        self._configuration = configuration
        self._lock = threading.Lock()
        if self.path is None or not self.path.exists():
            return
        if not self.path.is_dir():
            raise PLDError(f"{self.path} is a file; give a folder for the run.")
        if not any(self.path.iterdir()):
            return
        try:
            earlier = json.loads((self.path / "run.json").read_text(encoding="utf-8"))["configuration"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PLDError(f"{self.path} is not empty and holds no run; give another folder.") from error
        changed = sorted(key for key in {*earlier, *configuration} if earlier.get(key) != configuration.get(key))
        if changed:
            raise PLDError(f"{self.path} holds a run with another {', '.join(changed)}; give another folder.")

    def write(self, name: str, content: str | BaseModel | Mapping[str, Any]) -> None:
        """Write a file whole: text as it is, anything else as indented JSON."""
        if self.path is None:
            return
        if isinstance(content, BaseModel):
            content = content.model_dump_json(indent=2) + "\n"
        elif not isinstance(content, str):
            content = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        part.write_text(content, encoding="utf-8")
        os.replace(part, target)

    def status(self, status: str) -> None:
        """Say in run.json how the run stands; the first call makes the folder."""
        self.write("run.json", {"status": status, "configuration": self._configuration, "versions": _versions()})

    def append(self, name: str, line: BaseModel) -> None:
        """Add a line to a JSONL file; safe from many threads."""
        if self.path is None:
            return
        with self._lock:
            if not (self.path / "run.json").exists():
                self.status("running")
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(line.model_dump_json() + "\n")

    def lines(self, name: str, kind: type[Line]) -> list[Line]:
        """Read a JSONL file back; a line that an interruption cut short is left out."""
        if self.path is None or not (self.path / name).exists():
            return []
        found = []
        for text in (self.path / name).read_text(encoding="utf-8").splitlines():
            try:
                found.append(kind.model_validate_json(text))
            except ValidationError:
                continue
        return found

    def write_rules(self, rules: Mapping[str, RuleSet], number: int) -> None:
        """Write a version of all predictors' rules as rules/NNN.json."""
        self.write(f"rules/{number:03d}.json", {name: json.loads(of.model_dump_json()) for name, of in rules.items()})

    def write_program(self, program: dspy.Module) -> None:
        """Write the compiled program's state as program.json, and what the student reads as prompt.md."""
        if self.path is None:
            return
        self.status("running")
        program.save(self.path / "program.json")
        parts = [f"# {name}\n\n{predictor.signature.instructions}\n" for name, predictor in program.named_predictors()]
        self.write("prompt.md", "\n".join(parts))

    def end(self, status: str) -> None:
        """Say in run.json how the run ended, if it got as far as to have a folder."""
        if self.path is not None and (self.path / "run.json").exists():
            self.status(status)


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    packages = ("pld-dspy", "dspy", "litellm", "scikit-learn", "optuna")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
