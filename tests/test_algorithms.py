import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from pld_dspy.clustering.algorithms import ALGORITHMS, dbscan, hdbscan, kmeans
from pld_dspy.clustering.points import Points, points_of, unit
from pld_dspy.clustering.search import cluster_with
from pld_dspy.errors import PLDError


def alone(rows: np.ndarray) -> Points:
    return Points(rows, np.ones(len(rows), dtype=int), np.arange(len(rows)))


def groups(n: int, many: int, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((many, 5))
    return unit((middles[rng.integers(many, size=n)] + noise * rng.standard_normal((n, 5))).astype(np.float32))


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.integers(4, 300),
    st.integers(1, 12),
    st.floats(0.05, 1),
    st.floats(0.01, 1),
    st.integers(2, 10),
)
def test_dbscan_from_the_graph_is_that_of_scikit_learn(seed, n, many, noise, share, min_samples):
    rng = np.random.default_rng(seed)
    rows = groups(n, many, noise, seed)[rng.integers(n, size=n)]  # some more than once
    points = points_of(rows, "none", 0)
    eps = share * points.radius
    ours = points.spread(dbscan(points, {"eps": eps, "min_samples": min_samples}))
    theirs = DBSCAN(eps=eps, min_samples=min_samples, metric="cosine").fit(rows)
    core = np.zeros(n, dtype=bool)
    core[theirs.core_sample_indices_] = True
    assert np.array_equal(ours < 0, theirs.labels_ < 0)
    assert adjusted_rand_score(ours[core], theirs.labels_[core]) == 1
    near = 1 - rows @ rows.T <= eps
    for border in np.flatnonzero(~core & (ours >= 0)):
        assert ours[border] in ours[core & near[border]]


def test_clusters_of_equal_vectors_are_found():
    """Their distances are zero, which a sparse matrix easily loses."""
    middles = np.random.default_rng(0).standard_normal((20, 5), dtype=np.float32)
    points = alone(unit(np.repeat(middles, 8, axis=0)))
    truth = np.repeat(np.arange(20), 8)
    by_density = hdbscan(points, {"min_cluster_size": 4, "min_samples": 3, "cluster_selection_method": "eom"})
    assert adjusted_rand_score(truth, by_density) == 1
    assert adjusted_rand_score(truth, dbscan(points, {"eps": 0.01 * points.radius, "min_samples": 8})) == 1


@pytest.mark.parametrize("selection", ["eom", "leaf"])
@pytest.mark.parametrize("min_samples", [1, 5, 10])
def test_hdbscan_finds_groups_that_no_edge_of_the_graph_joins(selection, min_samples):
    rows = np.repeat(np.eye(6), 60, axis=0) + 0.05 * np.random.default_rng(0).standard_normal((360, 6))
    points = alone(unit(rows.astype(np.float32)))
    assert points.radius < 1.5, "else there is nothing to test"
    found = hdbscan(points, {"min_cluster_size": 10, "min_samples": min_samples, "cluster_selection_method": selection})
    truth = np.repeat(np.arange(6), 60)
    inside = found >= 0
    assert inside.mean() > (0.9 if selection == "eom" else 0.3)
    assert all(len(np.unique(truth[found == label])) == 1 for label in np.unique(found[inside]))


def test_kmeans_counts_the_embeddings_that_a_point_stands_for():
    """Where it ends, every point is in the cluster whose weighted mean is nearest."""
    rows, weights = groups(200, 200, 0, 0), np.where(np.arange(200) < 20, 50, 1)
    labels = kmeans(Points(rows, weights, np.arange(200)), {"n_clusters": 6})

    def nearest(weights):
        means = [np.average(rows[labels == label], axis=0, weights=weights[labels == label]) for label in range(6)]
        return np.linalg.norm(rows[:, None] - np.array(means), axis=2).argmin(axis=1)

    assert np.array_equal(nearest(weights), labels)
    assert not np.array_equal(nearest(np.ones(200)), labels)


def tight(many: int) -> np.ndarray:
    rows = np.repeat(np.eye(many, 12), 150, axis=0) + 3e-7 * np.random.default_rng(0).standard_normal((150 * many, 12))
    return unit(rows.astype(np.float32))


INPUTS = {
    "four": groups(4, 4, 0, 0),
    "five": groups(5, 5, 0, 0),
    "eleven": groups(11, 11, 0, 0),
    "twelve": groups(12, 12, 0, 0),
    "all but equal": tight(1),
    "two, all but equal": tight(2),
    "zeros": np.zeros((150, 4), dtype=np.float32),
    "a zero": np.concatenate([groups(150, 150, 0, 0), np.zeros((1, 5), dtype=np.float32)]),
    "opposite": unit(np.array([[1.0], [-1.0]] * 70, dtype=np.float32)),
}


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("rows", INPUTS.values(), ids=INPUTS)
def test_every_algorithm_clusters_degenerate_points_without_a_word(name, rows, capsys):
    points = alone(rows)
    algorithm = ALGORITHMS[name]
    draws = [algorithm.start(points, 200)]
    highest = {"n_clusters": len(points) // 2, "eps": points.radius, "min_samples": min(10, len(points) // 2)}
    highest |= {"min_cluster_size": highest["min_samples"], "selection": "leaf"}
    lowest = {"n_clusters": 2, "eps": 0.01 * points.radius, "min_samples": 2, "min_cluster_size": 2, "selection": "eom"}
    draws += [{f"{name}_{key}": value for key, value in each.items()} for each in (highest, lowest)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for draw in draws:
            params = algorithm.suggest(FixedTrial(draw), points, 200)
            labels = algorithm.labels(points, params, 0)
            assert labels.shape == (len(points),)
            assert labels.min() >= -1
    assert capsys.readouterr() == ("", "")


@settings(max_examples=20)
@given(st.integers(4, 400), st.integers(2, 200), st.integers(0, 100))
def test_what_a_search_tries_first_is_in_the_range_of_its_draws(n, most, seed):
    points = alone(groups(n, 5, 0.3, seed))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of values out of range
        for algorithm in ALGORITHMS.values():
            start = FixedTrial(algorithm.start(points, most))
            assert algorithm.suggest(start, points, most)


ROWS = np.repeat(np.eye(5), 8, axis=0) + 0.05 * np.random.default_rng(0).standard_normal((40, 5))


def test_an_estimator_clusters_as_it_is():
    vectors, truth = ROWS, np.repeat(np.arange(5), 8)
    estimator = KMeans(5, n_init=5, random_state=0)
    found = cluster_with(estimator, vectors)
    assert adjusted_rand_score(truth, found.labels) == 1
    assert found.params == {"estimator": repr(estimator)}
    assert found.study is None
    assert not found.weak
    assert not hasattr(estimator, "labels_"), "a copy is fitted"
    assert (cluster_with(DBSCAN(eps=1e-3), vectors).labels == -1).all()


@pytest.mark.parametrize(
    ("estimator", "embeddings", "says"),
    [
        (
            KMeans(17),
            ROWS[:5],
            r"^KMeans\(n_clusters=17\) cannot cluster 5 embeddings: .*should be >= n_clusters=17\.$",
        ),
        (DBSCAN(), ROWS[:0], "cannot cluster 0 embeddings"),
        (DBSCAN(eps=-1), ROWS, "cannot cluster 40 embeddings"),
        (PCA(), ROWS, "cannot cluster 40 embeddings: .*fit_predict"),
        (None, ROWS, "None cannot cluster 40 embeddings"),
        (DBSCAN(), [[np.nan]], "not finite"),
    ],
)
def test_an_estimator_that_cannot_cluster_is_an_error(estimator, embeddings, says):
    with pytest.raises(PLDError, match=says):
        cluster_with(estimator, embeddings)
