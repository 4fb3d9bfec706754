"""The clustering algorithms of the search: what each may be given, and how it clusters points."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pld_dspy.clustering.points import Points
from pld_dspy.errors import PLDError
from pld_dspy.plugins import named

if TYPE_CHECKING:
    import optuna

    Trial = optuna.Trial | optuna.trial.FrozenTrial | optuna.trial.FixedTrial
    Suggest = Callable[[Trial, Points, int], dict[str, Any]]


@dataclass(frozen=True)
class Algorithm:
    """One way of clustering. Another package adds its own by an entry point in the group `pld_dspy.algorithms`."""

    name: str  # what a search calls it
    # Draws parameters for points and the most clusters that are wanted.
    suggest: "Suggest" = field(repr=False)
    # Gives each point an int, -1 for noise, by the parameters and a seed.
    labels: Callable[[Points, dict[str, Any], int], np.ndarray] = field(repr=False)
    # What a search tries first, in the names of `suggest`.
    start: Callable[[Points, int], dict[str, Any]] = field(repr=False)


def dbscan(points: Points, params: dict[str, Any], seed: int = 0) -> np.ndarray:
    """scikit-learn's DBSCAN on the shared graph: `eps` up to the graph's radius, `min_samples` counts embeddings."""
    from sklearn.cluster import DBSCAN

    return DBSCAN(**params, metric="precomputed").fit_predict(points.graph, sample_weight=points.weights)


def hdbscan(points: Points, params: dict[str, Any], seed: int = 0) -> np.ndarray:
    """scikit-learn's HDBSCAN on the shared graph; points that lie farther apart than its radius are at distance 2.

    It takes no weights: equal embeddings count once.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.cluster import HDBSCAN

    n, part = connected_components(points.graph, directed=False)
    first = np.unique(part, return_index=True)[1]
    ends = np.concatenate([first[:-1], first[1:]]), np.concatenate([first[1:], first[:-1]])
    graph = points.graph + coo_array((np.full(2 * (n - 1), 2.0), ends), shape=points.graph.shape).tocsr()
    estimator = HDBSCAN(**params, metric="precomputed", metric_params={"max_distance": 2.0}, copy=False)
    return estimator.fit_predict(graph)


def average(points: Points, params: dict[str, Any], seed: int = 0) -> np.ndarray:
    """Average linkage, the shared dendrogram cut into `n_clusters`. A cluster of one embedding is noise."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = points.merges[: len(points) - params["n_clusters"]].T
    edges = coo_array((np.ones(len(one)), (one, other)), shape=(len(points), len(points)))
    return connected_components(edges, directed=False)[1]


def kmeans(points: Points, params: dict[str, Any], seed: int = 0) -> np.ndarray:
    """scikit-learn's k-means, which on unit vectors groups by cosine."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    estimator = KMeans(**params, n_init=1, max_iter=50, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer directions than clusters
        return estimator.fit_predict(points.vectors, sample_weight=points.weights)


def _half(points: Points) -> int:
    return max(2, len(points) // 2)


def _few(points: Points, most: int) -> int:
    return max(2, min(most, _half(points)))


_AVERAGE = Algorithm(
    "average",
    lambda trial, points, most: {"n_clusters": trial.suggest_int("average_n_clusters", 2, _half(points), log=True)},
    average,
    lambda points, most: {"average_n_clusters": max(2, len(points) // 8)},
)
_DBSCAN = Algorithm(
    "dbscan",
    lambda trial, points, most: {
        "eps": trial.suggest_float("dbscan_eps", 0.01 * points.radius, points.radius),
        "min_samples": trial.suggest_int("dbscan_min_samples", 2, 10),
    },
    dbscan,
    lambda points, most: {"dbscan_eps": 0.5 * points.radius, "dbscan_min_samples": 2},
)
_HDBSCAN = Algorithm(
    "hdbscan",
    lambda trial, points, most: {
        "min_cluster_size": trial.suggest_int("hdbscan_min_cluster_size", 2, min(10, _half(points))),
        "min_samples": trial.suggest_int("hdbscan_min_samples", 1, min(10, _half(points))),
        "cluster_selection_method": trial.suggest_categorical("hdbscan_selection", ["eom", "leaf"]),
    },
    hdbscan,
    lambda points, most: {"hdbscan_min_cluster_size": 2, "hdbscan_min_samples": 1, "hdbscan_selection": "eom"},
)
_KMEANS = Algorithm(
    "kmeans",
    lambda trial, points, most: {"n_clusters": trial.suggest_int("kmeans_n_clusters", 2, _few(points, most), log=True)},
    kmeans,
    lambda points, most: {"kmeans_n_clusters": _few(points, most)},
)
ALGORITHMS = {one.name: one for one in (_AVERAGE, _DBSCAN, _HDBSCAN, _KMEANS)}


def algorithms_of(chosen: Sequence[str | Algorithm]) -> dict[str, Algorithm]:
    """Algorithms by name, from names (also other packages') or themselves; PLDError if one is neither."""
    if not isinstance(chosen, Sequence) or isinstance(chosen, str) or not chosen:
        raise PLDError(f"The algorithms are a list of some of {', '.join(ALGORITHMS)}, not {chosen!r}.")
    algorithms = [
        named("algorithms", one, ALGORITHMS, "clustering algorithm") if isinstance(one, str) else one for one in chosen
    ]
    for one in algorithms:
        if not isinstance(one, Algorithm):
            raise PLDError(f"{one!r} is no clustering algorithm: give a name or a pld_dspy.clustering.Algorithm.")
    by_name = {one.name: one for one in algorithms}
    if len(by_name) < len(algorithms):
        raise PLDError(f"Two of the algorithms have the same name: {', '.join(one.name for one in algorithms)}.")
    return by_name
