"""The examples of CONTRIBUTING.md run, and pass the checks for what they add."""

import json
import re
import sys
import tomllib
from pathlib import Path

import dspy
import pytest

from pld_dspy import testing
from pld_dspy.rules import OPERATIONS, Edit
from pld_dspy.teacher import Teacher

PAGE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
RED = [dspy.Example(question="What colour is a ripe tomato?", colour="red").with_inputs("question")]
CHECKS = {
    "Handbook": lambda given: testing.check_source(given()),
    "Margin": lambda given: testing.check_gate(given()),
    "DropLongest": testing.check_proposer,
    "Swap": lambda given: testing.check_operation(given()),
    "Letters": lambda given: testing.check_embedder(given(), made_by_name=False),
    "BIRCH": testing.check_algorithm,
    "LENGTH": testing.check_measure,
    "Colours": lambda given: testing.check_student(given(), RED),
    "FIRST_THREE": testing.check_optimizer,
}


@pytest.fixture(autouse=True)
def operations():
    """Those that there were."""
    before = dict(OPERATIONS)
    yield
    OPERATIONS.clear()
    OPERATIONS.update(before)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The examples as an installed package, with the entry points of the page."""
    (tmp_path / "mine.py").write_text("\n\n".join(BLOCKS), encoding="utf-8")
    groups = tomllib.loads(re.search(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)[1])["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in named.items()) for group, named in groups.items()
    ]
    (tmp_path / "mine-1.0.dist-info").mkdir()
    (tmp_path / "mine-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (tmp_path / "mine-1.0.dist-info" / "entry_points.txt").write_text("".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    yield groups
    sys.modules.pop("mine", None)


@pytest.mark.parametrize(("name", "block"), list(zip(CHECKS, BLOCKS, strict=True)), ids=list(CHECKS))
def test_an_example_passes_its_check(name, block):
    made: dict[str, object] = {}
    exec(compile(block, f"CONTRIBUTING.md, {name}", "exec"), made)  # our own page
    CHECKS[name](made[name])


def test_an_installed_kind_of_edit_is_made_by_its_name(mine):
    swapped = testing.RULES.apply([Edit(operation="swap", ids=("R1", "R3"))])
    assert [rule.id for rule in swapped.rules] == ["R3", "R2", "R1"]


def test_the_command_line_takes_the_installed_ones(mine, pld, tmp_path):
    assert len(mine) == len(CHECKS), "an entry point for each example"
    options = ["--gate", "margin", "--proposer", "drop-longest", "--operation", "swap", "--extraction", "handbook"]
    options += ["--embedder", "letters", "--cluster-setting", 'algorithms=["average", "birch"]']
    sizes = ["--train", "12", "--val", "8", "--test", "4", "--max-iterations", "1"]
    done = pld("compile", "scienceqa", *sizes, *options, "--log-dir", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    configuration = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["configuration"]
    assert configuration["extraction"] == "handbook, 2nd edition"
    assert configuration["resolution"]["gate"] == "margin"
    assert configuration["resolution"]["proposers"][-1] == "drop-longest"
    assert configuration["embedder"] == "letters"
    assert "swap" in Teacher().resolve.signature.instructions


def test_the_files_that_answer_a_question_are_there():
    answers = re.findall(r"^\| .*\? \| `(.+)` \|$", PAGE, flags=re.MULTILINE)
    assert len(answers) == 6
    for path in answers:
        assert (Path(__file__).parent.parent / path).is_file(), path
