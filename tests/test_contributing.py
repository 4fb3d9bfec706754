"""The examples of CONTRIBUTING.md run, and pass the checks for what they add."""

import re
from pathlib import Path

import dspy
import pytest

from pld_dspy import testing
from pld_dspy.rules import OPERATIONS

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


@pytest.mark.parametrize(("name", "block"), list(zip(CHECKS, BLOCKS, strict=True)), ids=list(CHECKS))
def test_an_example_passes_its_check(name, block):
    before = dict(OPERATIONS)
    made: dict[str, object] = {}
    exec(compile(block, f"CONTRIBUTING.md, {name}", "exec"), made)  # our own page
    try:
        CHECKS[name](made[name])
    finally:
        OPERATIONS.clear()
        OPERATIONS.update(before)


def test_the_files_that_answer_a_question_are_there():
    answers = re.findall(r"^\| .*\? \| `(.+)` \|$", PAGE, flags=re.MULTILINE)
    assert len(answers) == 6
    for path in answers:
        assert (Path(__file__).parent.parent / path).is_file(), path
