import random

import dspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score

from pld_dspy.clustering import search_clusters, tfidf
from pld_dspy.clustering.embedders import embed
from pld_dspy.errors import PLDError
from pld_dspy.rehearsal.skills import SKILLS


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=12))
def test_tfidf_gives_unit_rows_or_zero_for_any_text(texts):
    vectors = tfidf(texts)
    assert vectors.shape[0] == len(texts)
    assert vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-4) | np.isclose(lengths, 0, atol=1e-4))


def wordings(n: int, seed: int) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    skills = [SKILLS[i % len(SKILLS)] for i in range(n)]
    return [skill.wording(rng, rng.random() < 0.8) for skill in skills], [skill.name for skill in skills]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_wordings_of_a_skill_find_each_other(seed):
    texts, names = wordings(150, seed)
    labels = search_clusters(tfidf(texts), seed=seed).labels
    apart = np.where(labels < 0, 1000 + np.arange(len(labels)), labels)
    assert adjusted_mutual_info_score(names, apart) > 0.75
    assert np.bincount(labels[labels >= 0]).max() < 50, "a giant cluster"


def test_equal_seeds_find_equal_clusters():
    vectors = tfidf(wordings(60, 0)[0])
    one, two = search_clusters(vectors, n_trials=20, seed=3), search_clusters(vectors, n_trials=20, seed=3)
    assert one.params == two.params
    assert (one.labels == two.labels).all()
    assert len(one.study.trials) == 20


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["magnets attract"], [-1]),
        (["magnets attract", "birds sing"], [-1, -1]),
        (["magnets attract"] * 3, [0, 0, 0]),
        (["the", "of", "and"], [0, 0, 0]),
    ],
)
def test_few_or_identical_texts(texts, labels):
    assert search_clusters(tfidf(texts)).labels.tolist() == labels


def test_a_dspy_embedder_is_an_embedder():
    embedder = dspy.Embedder(lambda texts: np.array([[len(text), 1.0] for text in texts]))
    assert np.allclose(np.linalg.norm(embed(["a", "bcd"], embedder), axis=1), 1)


@pytest.mark.parametrize(
    ("result", "says"),
    [(np.ones(3), r"shape \(3,\)"), (np.ones((2, 2)), "for 3 texts"), (np.full((3, 2), np.nan), "finite")],
)
def test_what_an_embedder_returns_is_checked(result, says):
    with pytest.raises(PLDError, match=says):
        embed(["a", "b", "c"], lambda texts: result)
