"""What counts of code: what it does and reads, and not where it stands."""

import functools
import importlib
import sys

import dspy
import pytest
import same

from pld_dspy.identity import fingerprint, metric_fingerprint, program_fingerprint

HELPERS = """
LEAST = {least}
WORDS = {{"b", "a", "c"}}

def close(text):
    return len(text) > LEAST and text not in WORDS
"""
METRIC = """
import helpers
from helpers import close
LIMIT = {limit}

def by_attribute(example, prediction, trace=None):
    return helpers.close(prediction.answer)

def by_name(example, prediction, trace=None):
    return close(prediction.answer)

def by_import(example, prediction, trace=None):
    from helpers import close as near
    return near(prediction.answer)

def by_constant(example, prediction, trace=None):
    return len(prediction.answer) > LIMIT

def by_read_constant(example, prediction, trace=None):
    return len(prediction.answer) > helpers.LEAST

class Judge:
    least = {limit}
    def __call__(self, example, prediction, trace=None):
        return self.enough(prediction.answer)
    def enough(self, answer):
        return len(answer) > self.least

by_object = Judge()
by_method = Judge().__call__

class Program(__import__("dspy").Module):
    def __init__(self):
        super().__init__()
        self.ask = __import__("dspy").Predict("question -> answer")
    def forward(self, question):
        return self.ask(question=self.asked(question))
    def asked(self, question):
        return question * LIMIT
    def unused(self):
        return LATER

LATER = {later}
"""
BY_HELPER = ["by_attribute", "by_name", "by_import", "by_read_constant"]
BY_OWN = ["by_constant", "by_object", "by_method", "Program"]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """What stands in a user's module, written anew and imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(name, least=1, limit=1, later=1):
        (tmp_path / "helpers.py").write_text(HELPERS.format(least=least))
        (tmp_path / "mine.py").write_text(METRIC.format(limit=limit, later=later))
        for module in ("helpers", "mine"):
            sys.modules.pop(module, None)
        importlib.invalidate_caches()
        found = getattr(importlib.import_module("mine"), name)
        return program_fingerprint(found()) if name == "Program" else metric_fingerprint(found)

    yield load
    for module in ("helpers", "mine"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("name", BY_HELPER + BY_OWN)
def test_the_constants_and_helpers_that_code_reads_count_and_nothing_else(written, name):
    first = written(name)
    assert written(name, later=2) == first
    assert (written(name, least=2) == first) == (name in BY_OWN)
    assert (written(name, limit=2) == first) == (name in BY_HELPER)


def test_functions_of_one_name_are_told_apart_and_read_in_circles():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert fingerprint(even) == fingerprint(even) != fingerprint(odd)
    assert metric_fingerprint(lambda e, p: 1) != metric_fingerprint(lambda e, p: 2)
    assert metric_fingerprint(functools.lru_cache(lambda e, p: 1)) != metric_fingerprint(
        functools.lru_cache(lambda e, p: 2)
    )
    round_ = []
    round_.append(round_)
    other = []
    other.append(other)
    assert fingerprint(round_) == fingerprint(other) != fingerprint([[]])


def test_what_a_metric_only_notes_down_does_not_count():
    seen, known, counts, calls = [], {}, {"n": 0}, 0

    def metric(example, prediction, trace=None):
        nonlocal calls
        calls += 1
        counts["n"] += 1
        seen.append(prediction)
        known[example] = 1
        return len(prediction.answer) > 1

    before = metric_fingerprint(metric)
    metric("a", dspy.Prediction(answer="yes"))
    assert (calls, counts) == (1, {"n": 1})
    assert metric_fingerprint(metric) == before

    def reading(example, prediction, trace=None):
        seen.append(prediction)
        return len(seen) > 3

    before = metric_fingerprint(reading)
    reading(dspy.Example(id="a"), dspy.Prediction(answer="yes"))
    assert metric_fingerprint(reading) != before


def test_an_attribute_set_on_a_metric_counts():
    metric = same.closure(1)
    before = metric_fingerprint(metric)
    metric.least = 5
    assert metric_fingerprint(metric) != before
