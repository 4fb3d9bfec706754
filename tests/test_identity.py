"""What counts as the same: content, all of it, in every process."""

import functools
import logging
import os
import pickle
import subprocess
import sys
import threading
from enum import Enum
from pathlib import Path

import dspy
import numpy as np
import PIL.Image
import pytest
import same
import torch
from hypothesis import given
from hypothesis import strategies as st
from same import METRICS, PROGRAMS, Colour, Model, Point, Thing, lasted, made

from pld_dspy.datasets.images import Figure, File
from pld_dspy.identity import (
    data_fingerprint,
    fingerprint,
    lasting_fingerprint,
    metric_fingerprint,
    program_fingerprint,
)
from pld_dspy.pictures import data_uri

plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.dates(), st.uuids(),
    st.sampled_from(["RED", "BLUE"]).map(lambda name: Colour[name]), st.text(st.characters(categories=["Cs", "Lu"])),
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


def test_the_adapter_counts_and_the_default_one_is_the_chat_adapter():
    program = dspy.Predict("question -> answer")
    plain = program_fingerprint(program)
    with dspy.context(adapter=dspy.ChatAdapter()):
        assert program_fingerprint(program) == plain
    found = {plain}
    for adapter in (dspy.JSONAdapter(), dspy.XMLAdapter(), dspy.ChatAdapter(use_native_function_calling=True)):
        with dspy.context(adapter=adapter):
            found.add(program_fingerprint(program))
    assert len(found) == 4


def test_a_copy_and_a_saved_program_are_the_same(tmp_path):
    program = dspy.ChainOfThought("question, front: dspy.Image -> answer: list[str]")
    program.predict.demos = [dspy.Example(question="q", front=dspy.Image("https://a.b/c"), answer=("a", "b"))]
    program.predict.signature = program.predict.signature.with_instructions("Look.")
    program.pld = object()
    program.history.append({"a": object()})
    found = program_fingerprint(program)
    program.save(tmp_path / "program.json")
    loaded = dspy.ChainOfThought("question, front: dspy.Image -> answer: list[str]")
    assert program_fingerprint(loaded) != found
    loaded.load(tmp_path / "program.json")
    assert program_fingerprint(loaded) == program_fingerprint(program.deepcopy()) == found


def test_figures_count_by_what_models_get_of_them(tmp_path):
    def figure(colour, name):
        PIL.Image.new("RGB", (4, 4), colour).save(tmp_path / name)
        return Figure(File(tmp_path / name), example=name)

    red, again, blue = figure("red", "a.png"), figure("red", "b.png"), figure("blue", "c.png")
    for nested in (lambda f: {"front": f}, lambda f: Model(x=f), lambda f: [{"a": [f]}], history, lambda f: (f,)):
        found = [fingerprint(dspy.Example(question="q", given=nested(each))) for each in (red, again, blue)]
        assert found[0] == found[1] != found[2]
    assert fingerprint(red) == fingerprint(dspy.Image(data_uri(red)))


def history(figure):
    return dspy.History(messages=[{"question": figure, "answer": "a"}])


def test_tensors_and_arrays_count_by_their_numbers():
    tensors = [torch.tensor([[1.0, at]]) for at in (2.0, 2.0, 3.0)] + [torch.tensor([1.0, 2.0])]
    found = [fingerprint({"a": tensor}) for tensor in [*tensors, tensors[0].bfloat16(), torch.tensor(1)]]
    assert found[0] == found[1]
    assert len(set(found)) == 5
    square = np.arange(4.0).reshape(2, 2)
    assert fingerprint(square) == fingerprint(np.asfortranarray(square)) != fingerprint(square.T)
    assert fingerprint(square) != fingerprint(square.astype(np.float32)) != fingerprint(square.ravel())


def test_which_fields_are_inputs_counts():
    example = dspy.Example(question="q", hint="h", answer="a")
    assert fingerprint(example.with_inputs("question")) != fingerprint(example.with_inputs("question", "hint"))


class Kept:
    """An attribute that is worked out when it is asked for."""

    @functools.cached_property
    def slow(self):
        return 1


def test_what_an_object_works_out_and_keeps_is_no_other_object():
    kept = Kept()
    before = fingerprint(kept)
    assert kept.slow == 1
    assert fingerprint(kept) == before


@pytest.mark.parametrize(
    "make", [threading.Lock, lambda: (n for n in "ab"), lambda: memoryview(b"")], ids=["lock", "generator", "memory"]
)
def test_what_has_no_stable_content_is_named_once_and_never_taken_over(make, elsewhere, caplog):
    unseen = make()

    def metric(example, prediction):
        return unseen is not None

    program = lasted(config={"with": unseen})
    with caplog.at_level(logging.WARNING, logger="pld_dspy"):
        assert len({metric_fingerprint(metric) for _ in range(3)}) == 3
    assert len(caplog.messages) == 1
    assert f"{type(unseen).__name__} that has no stable content: scores of this run will not be taken" in caplog.text
    assert len({lasting_fingerprint(program) for _ in range(3)}) == 3
    assert program_fingerprint(program) == program_fingerprint(lasted(config={"with": unseen})), "the very same object"
    other = make()
    assert program_fingerprint(program) != program_fingerprint(lasted(config={"with": other}))
    example = dspy.Example(question=unseen).with_inputs("question")
    assert fingerprint(example) == fingerprint(example)
    assert data_fingerprint([example]) != data_fingerprint([example])
    assert len(caplog.messages) == 1


def test_secrets_and_addresses_of_models_do_not_count():
    def asked(**settings):
        return program_fingerprint(lasted(lm=dspy.LM("openai/small", **settings)))

    assert asked(api_key="a", api_base="http://a") == asked(api_key="b", api_base="http://b") == asked()
    assert asked(temperature=0.5) != asked(temperature=0.7)


def test_what_another_package_notes_on_installed_code_is_no_part_of_it(monkeypatch):
    before = fingerprint(Colour)
    monkeypatch.setattr(Enum.__new__, "_noted", "by somebody", raising=False)  # PyTorch does so when it is imported
    assert fingerprint(Colour) == before
