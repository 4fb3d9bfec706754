"""The examples in docstrings."""

import doctest
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGES = ("pld_dspy", "pld_dspy.optimizers", "pld_dspy.programs")


def modules_with_examples():
    """The names of the modules, found without importing those that have no example."""
    for package in PACKAGES:
        paths = find_spec(package).submodule_search_locations
        names = [package, *(module.name for module in pkgutil.walk_packages(paths, f"{package}."))]
        yield from (name for name in names if ">>>" in Path(find_spec(name).origin).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples_show_what_is_so(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
