from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from pld_dspy.clustering import points as module
from pld_dspy.clustering.algorithms import average
from pld_dspy.clustering.points import NEAREST, Points, average_linkage, points_of, reduced, unit
from pld_dspy.errors import PLDError

seeds = st.integers(0, 10_000)


def vectors(n: int, d: int, seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32))


def alone(rows: np.ndarray) -> Points:
    return Points(rows, np.ones(len(rows), dtype=int), np.arange(len(rows)))


def far(rows: np.ndarray) -> np.ndarray:
    """All cosine distances, in double precision."""
    distances = 1 - rows.astype(float) @ rows.T.astype(float)
    np.fill_diagonal(distances, 0)
    return np.clip(distances, 0, 2)


@settings(max_examples=30)
@given(seeds, st.integers(4, 60), st.data())
def test_average_linkage_is_that_of_scipy(seed, n, data):
    points = alone(vectors(n, 5, seed))
    clusters = data.draw(st.integers(1, n))
    theirs = fcluster(linkage(squareform(far(points.vectors), checks=False), "average"), clusters, "maxclust")
    assert adjusted_rand_score(theirs, average(points, {"n_clusters": clusters})) == 1


@settings(max_examples=30)
@given(seeds, st.integers(4, 20), st.data())
def test_weighted_points_link_as_their_copies_do(seed, n, data):
    rows, weights = vectors(n, 5, seed), np.array(data.draw(st.lists(st.integers(1, 6), min_size=n, max_size=n)))
    clusters = data.draw(st.integers(2, n))
    points = Points(rows, weights, np.repeat(np.arange(n), weights))
    copies = far(np.repeat(rows, weights, axis=0))
    theirs = fcluster(linkage(squareform(copies, checks=False), "average"), clusters, "maxclust")
    assert adjusted_rand_score(theirs, points.spread(average(points, {"n_clusters": clusters}))) == 1


@pytest.mark.parametrize("distance", [0.0, 0.1, 2.0])
def test_points_that_are_all_equally_far_link_to_one_tree(distance):
    merges = average_linkage(np.full((40, 40), distance, dtype=np.float32), np.arange(1, 41))
    tree = alone(vectors(40, 3, 0))
    tree.__dict__["merges"] = merges
    assert [len(np.unique(average(tree, {"n_clusters": clusters}))) for clusters in (1, 7, 40)] == [1, 7, 40]


def test_one_point_has_no_merges():
    assert alone(vectors(1, 3, 0)).merges.shape == (0, 2)


@settings(max_examples=20)
@given(seeds, st.integers(4, 300), st.integers(1, 4))
def test_the_graph_holds_all_pairs_within_its_radius(seed, n, copies):
    rows = vectors(-(-n // copies), 4, seed)
    points = alone(np.repeat(rows, copies, axis=0))  # distances of zero, which a sparse matrix easily loses
    distances, graph = far(points.vectors), points.graph
    held = np.zeros(graph.shape, dtype=bool)
    held[graph.tocoo().coords] = True
    assert held[distances < points.radius - 1e-6].all()
    assert (held.sum(axis=1) > min(NEAREST, len(rows) - 1)).all()
    assert np.array_equal(held, held.T)
    assert np.allclose(graph.toarray()[held], distances[held], atol=1e-6)
    assert all((np.diff(graph.data[start:end]) >= 0).all() for start, end in pairwise(graph.indptr))


def test_the_graph_does_not_hold_all_pairs_of_many_points():
    points = alone(vectors(2_500, 6, 0))
    assert 100 < points.graph.nnz / len(points) < 160
    assert abs(points.graph - points.graph.T).max() == 0


def test_a_point_far_from_all_others_is_in_the_graph_of_its_nearest():
    points = alone(unit(np.concatenate([np.eye(1, 8) + 0.1 * vectors(400, 8, 0), -np.eye(1, 8)]).astype(np.float32)))
    distances = far(points.vectors)[-1]
    assert points.radius < 1 < distances[:-1].min()
    nearest = points.graph[[400]].tocoo().coords[1]
    assert len(nearest) == NEAREST + 1
    assert distances[nearest].max() <= np.sort(distances)[NEAREST] + 1e-6
    assert abs(points.graph - points.graph.T).max() == 0
    assert np.array_equal(np.sort(points.graph[:, [400]].tocoo().coords[0]), np.sort(nearest))


@pytest.mark.parametrize("noise", [0, 1e-8, 1e-7])
def test_the_radius_of_points_that_are_all_but_equal_is_above_zero(noise):
    rows = np.ones((300, 4)) + noise * vectors(300, 4, 0)
    points = alone(unit(rows.astype(np.float32)))
    assert points.radius > 0
    assert points.graph.nnz == 300**2


def test_equal_embeddings_are_one_point():
    rows = vectors(5, 8, 0)
    points = points_of(rows[[0, 3, 0, 4, 0]], "none", 0)
    assert len(points) == 3
    assert sorted(points.weights) == [1, 1, 3]
    assert np.array_equal(points.vectors[points.inverse], rows[[0, 3, 0, 4, 0]])


@settings(max_examples=20)
@given(seeds, st.integers(2, 5), st.sampled_from(["none", "centre", "pca"]))
def test_many_embeddings_are_gathered_with_their_like(seed, groups, reduction):
    rng = np.random.default_rng(seed)
    truth = rng.integers(groups, size=400)
    rows = unit((np.eye(groups, 8)[truth] + 0.05 * rng.standard_normal((400, 8))).astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_POINTS", 60)
        points = points_of(rows[rng.integers(400, size=500)], reduction, seed)
        again = points_of(rows, reduction, seed)
    assert len(points) <= 60
    assert points.weights.sum() == 500
    assert np.array_equal(np.bincount(points.inverse), points.weights)
    assert np.allclose(np.linalg.norm(points.vectors, axis=1), 1, atol=1e-5)
    assert all(len(np.unique(truth[again.inverse == number])) == 1 for number in range(len(again)))


@pytest.mark.parametrize("seed", range(5))
def test_a_few_that_are_like_no_others_are_not_gathered_into_others(monkeypatch, seed):
    monkeypatch.setattr(module, "MOST_POINTS", 60)
    rng = np.random.default_rng(seed)
    truth = np.array([0] * 500 + [1] * 3)
    rows = unit((np.eye(2, 16)[truth] + 0.05 * rng.standard_normal((503, 16))).astype(np.float32))
    points = points_of(rows, "none", seed)
    assert not set(points.inverse[truth == 0]) & set(points.inverse[truth == 1])


def test_groups_that_the_reduction_makes_equal_are_still_numbered_without_gaps(monkeypatch):
    monkeypatch.setattr(module, "MOST_POINTS", 60)
    few = type("Few", (), {"fit_transform": lambda self, rows: np.sign(rows[:, :2])})()
    points = points_of(vectors(200, 8, 0), few, 0)
    assert len(points) < 10
    assert points.weights.min() > 0
    assert np.array_equal(np.bincount(points.inverse), points.weights)


def test_centring_takes_off_what_all_embeddings_share():
    rows, common = vectors(300, 16, 0), np.full(16, 3, dtype=np.float32)
    seen = unit(rows + common)
    assert (seen @ seen.T).min() > 0.8
    assert abs((lambda centred: centred @ centred.T)(reduced(seen, "centre", 0)).mean()) < 0.01


def test_a_name_and_a_transformer_reduce_alike():
    rows = vectors(100, 80, 0)
    by_name = reduced(rows, "pca", 3)
    assert by_name.shape == (100, 64)
    assert np.allclose(np.linalg.norm(by_name, axis=1), 1, atol=1e-5)
    assert np.array_equal(by_name, reduced(rows, PCA(64, random_state=3), 0))


class Returns:
    def __init__(self, result):
        self.result = result

    def fit_transform(self, rows):
        return self.result(rows)


@pytest.mark.parametrize(
    ("transformer", "says"),
    [
        (Returns(lambda rows: rows * np.nan), r"must make 9 rows of finite numbers .* shape \(9, 4\)"),
        (Returns(lambda rows: rows[:5]), r"must make 9 rows .* shape \(5, 4\)"),
        (Returns(lambda rows: rows[:, 0]), r"shape \(9,\)"),
        (Returns(lambda rows: None), r"shape \(\)"),
        (Returns(lambda rows: [["a"]] * 9), "cannot reduce 9 embeddings: could not convert string"),
        (Returns(lambda rows: 1 / 0), "cannot reduce 9 embeddings: division by zero"),
        (PCA(50), r"PCA\(n_components=50\) cannot reduce 9 embeddings: n_components=50 must be"),
        (None, "None is neither the name of a reduction"),
        ("nonsense", "no reduction 'nonsense': give none, centre, pca, umap or a transformer"),
    ],
)
def test_a_reduction_that_fails_is_an_error(transformer, says):
    with pytest.raises(PLDError, match=says):
        points_of(vectors(9, 4, 0), transformer, 0)


def test_umap_that_is_not_installed_is_an_error_that_names_the_extra():
    try:
        import umap  # noqa: F401
    except ImportError:
        with pytest.raises(PLDError, match="install the extra 'umap'"):
            points_of(vectors(9, 4, 0), "umap", 0)
    else:
        pytest.skip("it is installed")
