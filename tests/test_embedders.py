import doctest
import os

import dspy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from loopback import embeddings_server
from tenacity import wait_none

from pld_dspy.errors import PLDError
from pld_dspy.models import embedders
from pld_dspy.models.embedders import check, described_embedder, embed, embedder, saved_name, tfidf
from pld_dspy.models.sentence_embedder import MINILM, SentenceEmbedder


def test_a_hosted_embedder_gets_its_own_key_only(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-hosted-service")
    with embeddings_server() as (address, requests):
        vectors = embed(["a", "bcd"], embedder("openai/tiny-keys", address))
        assert np.allclose(vectors, np.array([[1, 1], [3, 1]]) / np.sqrt([[2], [10]]))
        monkeypatch.setenv("PLD_EMBEDDER_API_KEY", "mine")
        hosted = embedder("openai/tiny-keys", address)
        embed(["other"], hosted)
    assert [request["path"] for request in requests] == ["/v1/embeddings"] * 2
    assert [request["authorization"] for request in requests] == ["Bearer none", "Bearer mine"]
    assert described_embedder(hosted) == "openai/tiny-keys"
    assert saved_name(hosted) == "server:openai/tiny-keys"


@pytest.mark.parametrize("status", [429, 500])
def test_a_busy_server_is_asked_again(monkeypatch, status):
    monkeypatch.setattr(embedders._Hosted.__call__.retry, "wait", wait_none())
    with embeddings_server(status, status) as (address, requests):
        assert embed(["a"], embedder(f"openai_like/tiny-{status}", address)).shape == (1, 2)
    assert len(requests) == 3


@pytest.mark.parametrize(("name", "status", "asked"), [("openai_like/failing", 500, 4), ("openai/failing", 401, 1)])
def test_a_server_that_fails_is_an_error(monkeypatch, name, status, asked):
    monkeypatch.setattr(embedders._Hosted.__call__.retry, "wait", wait_none())
    with embeddings_server(*[status] * 9) as (address, requests):
        hosted = embedder(name, address)
        with pytest.raises(PLDError, match=f"^The embedder {name} failed on 1 texts: .*it is {status}") as error:
            embed(["a"], hosted)
    assert len(requests) == asked
    assert error.value.__cause__.status_code == status


def test_embedders_by_name(tmp_path):
    assert embedder("tfidf") is tfidf
    local = embedder(f"hf:{tmp_path}")
    assert isinstance(local, SentenceEmbedder)
    assert local.model == os.path.realpath(tmp_path)
    assert saved_name(local) == f"hf:{local.model}"
    assert embedder("hf").name == f"hf:{MINILM}"
    hosted = embedder("gemini/text-embedding-004")
    assert isinstance(hosted, dspy.Embedder)
    assert saved_name(hosted) == "gemini/text-embedding-004"


THEIRS = """
import numpy as np
class Lengths:
    def __init__(self, scale="1"):
        self.name, self.scale = f"lengths:{scale}", float(scale)
    def __call__(self, texts):
        return np.array([[len(text) * self.scale, 1.0] for text in texts])
def nameless():
    return len
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """An installed package with embedders."""
    (tmp_path / "their_lengths.py").write_text(THEIRS)
    (tmp_path / "theirs-1.0.dist-info").mkdir()
    names = "lengths = their_lengths:Lengths\nnameless = their_lengths:nameless\nbroken = their_lengths:nothing\n"
    (tmp_path / "theirs-1.0.dist-info" / "entry_points.txt").write_text(f"[pld_dspy.embedders]\n{names}")
    monkeypatch.syspath_prepend(tmp_path)


def test_another_package_adds_an_embedder(theirs):
    scaled = embedder("lengths:2")
    assert scaled(["abc"]).tolist() == [[6, 1]]
    assert described_embedder(scaled) == saved_name(scaled) == "lengths:2"
    assert embedder(saved_name(scaled))(["abc"]).tolist() == [[6, 1]]
    assert embedder("lengths").name == "lengths:1"
    with pytest.raises(PLDError, match="name tfidf, hf:MODEL, broken, lengths, nameless or a model"):
        embedder("nonsense")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lengths:long", "'lengths:long' cannot be made: could not convert string to float"),
        ("nameless", "'nameless' cannot be made: <built-in function len> is no function of texts with a name"),
        ("nameless:1", "'nameless:1' cannot be made: .*takes 0 positional arguments"),
        ("broken", "embedder broken cannot be loaded"),
        ("tfidf:1", "'tfidf:1' cannot be made"),
    ],
)
def test_what_is_no_embedder_of_another_package(theirs, name, says):
    with pytest.raises(PLDError, match=says):
        embedder(name)


def test_a_named_embedder_is_checked_and_a_function_is_not_called():
    class Missing:
        name = "missing"

        def __call__(self, texts):
            raise ConnectionError("there is no model")

    for embedder_with_a_model in (Missing(), dspy.Embedder(Missing())):
        with pytest.raises(PLDError, match="failed on 1 texts: there is no model"):
            check(embedder_with_a_model)
    check(Missing().__call__)
    check(tfidf)
    with pytest.raises(PLDError, match=r"'tfidf' is no function: make one by name with `embedder\('tfidf'\)`"):
        check("tfidf")


def test_the_example_of_tfidf_is_right():
    assert doctest.testmod(embedders) == doctest.TestResults(failed=0, attempted=2)


@pytest.mark.parametrize(
    ("name", "address", "says"),
    [
        ("hf:", None, "needs a name"),
        ("hf:some/model", "http://127.0.0.1:1/v1", "leave out the address"),
        ("tfidf", "http://127.0.0.1:1/v1", "leave out the address"),
        ("nonsense", None, "no embedder 'nonsense': name tfidf, hf:MODEL"),
        ("", None, "no embedder ''"),
    ],
)
def test_what_is_no_embedder(name, address, says):
    with pytest.raises(PLDError, match=says):
        embedder(name, address)


def test_embedders_in_words():
    def by_length(texts):
        return [[len(text)] for text in texts]

    assert described_embedder(tfidf) == "tfidf"
    assert described_embedder(SentenceEmbedder("some/model")) == "hf:some/model"
    assert described_embedder(dspy.Embedder("openai/some", api_key="secret", api_base="http://there")) == "openai/some"
    assert described_embedder(dspy.Embedder(by_length)) == described_embedder(by_length) == "by_length"
    assert described_embedder(type("Own", (), {"__call__": by_length})()) == "Own"


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=12))
def test_tfidf_gives_unit_rows_or_zero_for_any_text(texts):
    vectors = tfidf(texts)
    assert vectors.shape[0] == len(texts)
    assert vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-4) | np.isclose(lengths, 0, atol=1e-4))
    assert np.array_equal(vectors, tfidf(texts))


@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.int64]),
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=5),
    )
)
def test_embed_gives_unit_rows_or_zero_for_any_numbers(array):
    texts = [str(number) for number in range(len(array))]
    if not np.isfinite(array).all():
        bad = [number for number, row in enumerate(array, 1) if not np.isfinite(row).all()]
        with pytest.raises(PLDError, match=rf"in {len(bad)} of {len(array)} vectors, first for text {bad[0]}\."):
            embed(texts, lambda texts: array)
        return
    vectors = embed(texts, lambda texts: array)
    assert vectors.dtype == np.float32
    assert vectors.shape == array.shape
    assert np.allclose(np.linalg.norm(vectors, axis=1), (array != 0).any(axis=1), atol=1e-6)
    assert np.all((vectors == 0) | (np.sign(vectors) == np.sign(array)))


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (np.ones(3), r"shape \(3,\) for 3 texts"),
        (np.ones((2, 2)), "for 3 texts"),
        (np.ones((3, 2, 1)), r"shape \(3, 2, 1\)"),
        (np.ones((3, 0)), r"shape \(3, 0\)"),
        ([[1.0], [1.0, 2.0], [1.0]], "failed on 3 texts"),
        ([["1"], ["2"], ["3"]], "no array of numbers"),
        ([[1.0], [None], [1.0]], "no array of numbers"),
        (None, "no array of numbers"),
        ([[1.0], [np.nan], [np.inf]], "not finite in 2 of 3 vectors, first for text 2"),
    ],
)
def test_what_an_embedder_returns_is_checked(result, says):
    def own(texts):
        return result

    with pytest.raises(PLDError, match=f"^The embedder own .*{says}"):
        embed(["a", "b", "c"], own)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_tensors_are_arrays(dtype):
    tensor = torch.tensor([[3, 4], [0, 0]], dtype=dtype)
    assert np.allclose(embed(["a", "b"], lambda texts: tensor), [[0.6, 0.8], [0, 0]])
    assert np.allclose(embed(["a"], lambda texts: torch.ones(1, 4, requires_grad=True)), 0.5)


def test_a_dspy_embedder_is_an_embedder():
    lengths = dspy.Embedder(lambda texts: np.array([[len(text), 1.0] for text in texts]))
    assert np.allclose(np.linalg.norm(embed(["a", "bcd"], lengths), axis=1), 1)


def test_no_texts_are_no_vectors():
    assert embed([], tfidf).shape == SentenceEmbedder("nobody/nothing")([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionError("the line\nis cut"), "The embedder failing failed on 3 texts: the line is cut."),
        (ZeroDivisionError(), "The embedder failing failed on 3 texts: ZeroDivisionError."),
        (ValueError("word " * 99), f"The embedder failing failed on 3 texts: {'word ' * 40}…."),
        (PLDError("What to do."), "What to do."),
    ],
)
def test_an_embedder_that_fails_is_an_error(error, says):
    def failing(texts):
        raise error

    with pytest.raises(PLDError) as raised:
        embed(["a", "b", "c"], failing)
    assert str(raised.value) == says
    assert raised.value is error or raised.value.__cause__ is error
