import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples

from pld_dspy.clustering import search_clusters
from pld_dspy.clustering.points import Points, unit
from pld_dspy.clustering.quality import Quality, measure, silhouette, tidy

seeds = st.integers(0, 10_000)


def points(n: int, seed: int = 0, weights: np.ndarray | None = None) -> Points:
    rows = unit(np.random.default_rng(seed).standard_normal((n, 6), dtype=np.float32))
    weights = np.ones(n, dtype=int) if weights is None else weights
    return Points(rows, weights, np.repeat(np.arange(n), weights))


@settings(max_examples=40)
@given(seeds, st.integers(5, 80), st.data())
def test_the_silhouette_from_means_is_that_of_scikit_learn(seed, n, data):
    rows = points(n, seed).vectors
    clusters = data.draw(st.integers(2, n - 1))
    labels = np.random.default_rng(seed).permutation(np.arange(n) % clusters)
    theirs = silhouette_samples(rows.astype(float), labels, metric="cosine")
    assert np.allclose(silhouette(rows, labels, np.arange(n)), theirs, atol=2e-5)
    some = np.random.default_rng(seed).choice(n, 3)
    assert np.allclose(silhouette(rows, labels, some), theirs[some], atol=2e-5)


@settings(max_examples=40)
@given(seeds, st.integers(1, 40), st.sampled_from([0, 1e-8, 1e-7, 1e-6]), st.integers(1, 6))
def test_a_silhouette_is_between_minus_one_and_one(seed, n, noise, clusters):
    """Distances of vectors that are all but equal are rounding, and may be below zero."""
    rng = np.random.default_rng(seed)
    rows = unit((np.ones((n, 6)) + noise * rng.standard_normal((n, 6))).astype(np.float32))
    labels = tidy(rng.integers(-1, clusters, size=n), np.ones(n, dtype=int))
    found = silhouette(rows, labels, np.arange(n))
    assert (np.abs(found) <= (1 if noise == 1e-6 else 0.5)).all()


def test_noise_has_no_silhouette_and_is_in_no_mean():
    rows = points(30).vectors
    labels = np.arange(30) % 4 - 1
    found = silhouette(rows, labels, np.arange(30))
    assert (found[labels < 0] == 0).all()
    inside = labels >= 0
    theirs = silhouette_samples(rows[inside].astype(float), labels[inside], metric="cosine")
    assert np.allclose(found[inside], theirs, atol=2e-5)


@given(st.lists(st.tuples(st.integers(-3, 6), st.integers(1, 4)), max_size=30))
def test_tidy_numbers_clusters_by_size_and_leaves_single_embeddings_alone(drawn):
    labels, weights = np.array(drawn, dtype=int).reshape(-1, 2).T
    before = labels.copy()
    tidied = tidy(labels, weights)
    assert np.array_equal(labels, before), "the input is left as it is"
    sizes = np.bincount(tidied[tidied >= 0], weights[tidied >= 0])
    assert (np.diff(sizes) <= 0).all()
    assert (sizes > 1).all()
    for one in range(len(labels)):
        mates = np.flatnonzero(labels == labels[one]) if labels[one] >= 0 else np.array([one])
        if weights[mates].sum() > 1:
            assert np.array_equal(np.flatnonzero(tidied == tidied[one]), mates)
        else:
            assert tidied[one] == -1
    assert np.array_equal(tidy(tidied, weights), tidied)


def test_measures_of_a_clustering():
    found = measure(points(8), np.array([0, 0, 0, 0, 1, 1, -1, -1]), max_clusters=10)
    assert found[0] == 2
    assert found[2:] == (0.25, 0.5**2 + 0.25**2, 0.5)
    assert found.value == pytest.approx(found.silhouette - (0.25 + 0.3125) / 2)


def test_clusters_that_the_prompt_cannot_hold_count_as_thrown_away():
    found = measure(points(8), np.array([0, 0, 0, 0, 1, 1, 2, 2]), max_clusters=2)
    assert (found.clusters, found.noise, found.biggest) == (3, 0.25, 0.5)


def test_shares_are_of_embeddings_and_silhouettes_of_points():
    labels = np.array([0, 0, 1, 1, -1])
    heavy, light = points(5, weights=np.array([6, 1, 1, 1, 1])), points(5)
    assert measure(heavy, labels, 10)[2:] == pytest.approx((0.1, 0.7**2 + 0.2**2, 0.7))
    assert measure(heavy, labels, 10).silhouette == measure(light, labels, 10).silhouette != 0


def test_some_rows_stand_for_all_in_the_silhouette_only():
    labels = np.arange(40) % 5
    some, every = measure(points(40), labels, 10, np.arange(10)), measure(points(40), labels, 10)
    assert some.silhouette == pytest.approx(silhouette(points(40).vectors, labels, np.arange(10)).mean())
    assert some.silhouette != every.silhouette
    assert some._replace(silhouette=0) == every._replace(silhouette=0)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], Quality(0, 0.0, 0.0, 0.0, 0.0)),
        ([-1, -1], Quality(0, 0.0, 1.0, 0.0, 0.0)),
        ([0, 0], Quality(1, 0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_measures_where_there_is_little_to_measure(labels, expected):
    assert measure(points(len(labels)), np.array(labels, dtype=int), 10) == expected


def test_clusters_that_the_prompt_cannot_hold_count_for_nothing():
    rows = np.repeat(np.random.default_rng(0).standard_normal((30, 64)), 10, axis=0)
    rows = rows + 0.3 * np.random.default_rng(1).standard_normal(rows.shape)
    assert search_clusters(rows, 40).quality.clusters == 30
    assert search_clusters(rows, 40, max_clusters=5).quality.noise < 0.5
