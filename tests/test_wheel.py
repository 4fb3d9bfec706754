"""The wheel, where neither this checkout nor folders of the same names can stand in for what it holds."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = {"pld_dspy": "pld_dspy", "optimizers": "pld_dspy/optimizers", "programs": "pld_dspy/programs"}
PLD = """
import sys
from importlib.metadata import entry_points
(entry,) = entry_points(group="console_scripts", name="pld")
sys.exit(entry.load()())
"""
SESSION = """
import dspy
from pld_dspy import PLDTeleprompter
from pld_dspy.programs import ScienceQA
from pld_dspy.rehearsal import rehearsal_lm
dspy.configure(lm=rehearsal_lm())
compiled = PLDTeleprompter().compile(ScienceQA())
compiled.save("program.json")
print(len(compiled.pld.rules["answer"]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which the wheel is installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in PLACES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-c", "from setuptools import build_meta; build_meta.build_wheel('.')"]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = source.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(target)
    return target


@pytest.fixture
def python(installed, tmp_path):
    """Runs code in a folder whose own `programs` and `optimizers` cannot be imported."""
    for name in ("programs", "optimizers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not mine')")

    def run(code, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_holds_every_module_and_template(installed):
    kinds = {".py", ".html", ".typed"}
    expected = {
        f"{place}/{path.relative_to(ROOT / name)}"
        for name, place in PLACES.items()
        for path in (ROOT / name).rglob("*")
        if path.suffix in kinds
    }
    assert {str(path.relative_to(installed)) for path in installed.glob("pld_dspy/**/*.*")} == expected


def test_its_modules_and_commands_are_found(installed, python):
    modules = "pld_dspy, pld_dspy.optimizers, pld_dspy.programs"
    files = python(f"import {modules}; print(*[module.__file__ for module in ({modules})], sep='\\n')").splitlines()
    assert len(files) == 3
    assert all(Path(file).is_relative_to(installed) for file in files)
    assert "compare" in python(PLD, "--help")


@pytest.mark.slow
def test_a_fresh_session_works_as_the_readme_says(python, tmp_path):
    rules = int(python(SESSION).split()[-1])
    assert rules >= 7, "a rule of each skill"
    state = json.loads((tmp_path / "program.json").read_text())
    assert state["answer"]["signature"]["instructions"].count("\n- ") == rules


@pytest.mark.slow
def test_the_demo_compiles_both_programs(python, tmp_path):
    shown = python(PLD, "demo")
    assert "scienceqa" in shown
    assert "spiqa" in shown
    assert len(list((tmp_path / "runs/demo").glob("*/program.json"))) == 2
