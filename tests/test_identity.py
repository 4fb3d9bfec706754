"""What counts as the same: content, all of it, in every process."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import dspy
import pytest
import same
from hypothesis import given
from hypothesis import strategies as st
from same import METRICS, PROGRAMS, Colour, Model, Point, Thing, made

from pld_dspy.identity import (
    fingerprint,
)

plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.sampled_from(Colour),
    st.dates(), st.uuids(), st.text(st.characters(categories=["Cs", "Lu"])),
)  # fmt: skip
hashed = st.recursive(plain, lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=6)
values = st.recursive(
    hashed,
    lambda inner: st.one_of(
        st.lists(inner),
        st.sets(hashed),
        st.dictionaries(hashed, inner),
        st.builds(Model, x=inner, more=inner),
        st.builds(Point, inner, inner),
        st.builds(Thing, x=inner),
        st.builds(same.table, st.lists(st.integers() | st.text(), min_size=1, max_size=3)),
        st.builds(same.array, st.lists(st.floats(allow_nan=False))),
        st.builds(lambda text: dspy.Image(f"https://a.b/{text}"), st.text("abc")),
        st.builds(lambda field: dspy.Example(x=field).with_inputs("x"), inner),
    ),
    max_leaves=12,
)


def told(value):
    """A value as nested tuples that are equal if its content is, and not as Python counts 1, 1.0 and True."""
    kind = type(value).__name__
    if isinstance(value, Colour | str | bytes | int | float | None):
        return kind, repr(value)
    if isinstance(value, dict):
        return kind, frozenset((told(name), told(item)) for name, item in value.items())
    if isinstance(value, set | frozenset):
        return "set", frozenset(map(told, value))
    if isinstance(value, list | tuple):
        return kind, tuple(map(told, value))
    if isinstance(value, same.pd.DataFrame):
        return kind, told(value.to_dict("list"))
    if isinstance(value, same.np.ndarray):
        return kind, told(value.tolist())
    if isinstance(value, dspy.Example):
        return kind, told(dict(value.items()))
    return kind, told(vars(value)) if hasattr(value, "__dict__") else str(value)


@pytest.fixture(scope="module")
def elsewhere():
    """`made` in another process, whose sets have another order."""
    tests = Path(same.__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    seed = str((int(os.environ.get("PYTHONHASHSEED", "0").replace("random", "0")) + 1) % 1000)
    with subprocess.Popen(
        [sys.executable, same.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
    ) as process:  # fmt: skip

        def ask(kind, to):
            pickle.dump((kind, to), process.stdin)
            process.stdin.flush()
            return process.stdout.readline().decode().strip()

        yield ask
        process.kill()


@given(value=values, other=values)
def test_equal_values_have_equal_fingerprints_and_others_others_in_every_process(elsewhere, value, other):
    found = fingerprint(value)
    assert found == fingerprint(pickle.loads(pickle.dumps(value))) == elsewhere("value", value)
    assert (found == fingerprint(other)) == (told(value) == told(other))


@pytest.mark.parametrize("kind", [*METRICS, *PROGRAMS])
@given(to=st.integers(1, 30), other=st.integers(1, 30))
def test_metrics_and_programs_are_the_same_if_what_they_are_made_of_is(elsewhere, kind, to, other):
    assert made(kind, to) == made(kind, to) == elsewhere(kind, to)
    assert (made(kind, to) == made(kind, other)) == (to == other)
