"""How good a clustering is for a rule set, judged without labels."""

from typing import NamedTuple

import numpy as np

from pld_dspy.clustering.points import Points, unit


class Quality(NamedTuple):
    """Measures of a clustering; shares are of the embeddings, from 0 to 1.

    `silhouette`: mean silhouette by cosine distance (Rousseeuw, 1987), 0 for noise. `noise`: share that is in no
    cluster, or in none of those that the prompt can hold. `concentration`: chance that two embeddings drawn at random
    are in the same cluster. `biggest`: share of the biggest cluster.
    """

    clusters: int
    silhouette: float
    noise: float
    concentration: float
    biggest: float

    @property
    def value(self) -> float:
        """What the search maximises.

        The silhouette alone favours hundreds of near-duplicates and one heap for the rest; what would throw rules away
        or heap them up is taken off. The weights were chosen on real solutions; see results/README.md.
        """
        return self.silhouette - (self.noise + self.concentration) / 2


def tidy(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Labels 0, 1, ... from the biggest cluster down; a cluster of one embedding becomes noise, -1.

    Noise that stands for several equal embeddings becomes a cluster.
    """
    labels = labels.copy()
    alone = np.flatnonzero(labels < 0)
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(len(alone))
    names, labels = np.unique(labels, return_inverse=True)
    sizes = np.bincount(labels, weights)
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty(len(names), dtype=int)
    rank[order] = np.where(sizes[order] > 1, np.arange(len(names)), -1)
    return rank[labels]


def measure(
    points: Points, labels: np.ndarray, max_clusters: int, rows: np.ndarray | None = None, n: int | None = None
) -> Quality:
    """Measure a clustering by labels as `tidy` gives them; the prompt can hold the `max_clusters` biggest.

    The mean cosine distance of a unit vector to a cluster is one minus its product with the cluster's mean, so that the
    exact silhouette costs m x clusters products instead of m x m. Only the silhouettes of `rows` are taken, by default
    all; shares are of `n` embeddings, by default of those that points stand for.
    """
    n, clusters = points.weights.sum() if n is None else n, int(labels.max(initial=-1)) + 1
    sizes = np.bincount(labels[labels >= 0], points.weights[labels >= 0], minlength=clusters)
    kept = sizes[:max_clusters] / max(1, n)
    rows = np.arange(len(points)) if rows is None else rows
    held = np.where(labels < max_clusters, labels, -1)
    return Quality(
        clusters=clusters,
        silhouette=float(silhouette(points.vectors, held, rows).mean()) if len(rows) else 0.0,
        noise=max(0.0, float(1 - kept.sum())) if n else 0.0,
        concentration=float((kept**2).sum()),
        biggest=float(kept.max(initial=0)),
    )


def silhouette(vectors: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The silhouettes of some points; 0 for noise and for clusters of one point.

    Each point counts once, however many embeddings it stands for: groups of equal rules alone would else be perfect.
    """
    own = labels[rows]
    if labels.max(initial=-1) < 1:
        return np.zeros(len(rows))
    means, sizes = centres(vectors, labels)
    distances = np.maximum(1 - vectors[rows] @ means.T, 0)
    inside = np.maximum(own, 0)
    at = np.arange(len(rows)), inside
    near = distances[at] * sizes[inside] / np.maximum(sizes[inside] - 1, 1)  # to the others, not to itself
    distances[at] = np.inf
    far = distances.min(axis=1)
    counts = (own >= 0) & (sizes[inside] > 1)
    # Distances below a millionth are rounding.
    return np.where(counts, (far - near) / np.maximum(np.maximum(near, far), 1e-6), 0.0)


def centres(vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean vector of each cluster, clusters x d, and its number of points."""
    from scipy.sparse import csr_array

    rows = np.flatnonzero(labels >= 0)
    shape = (int(labels.max()) + 1, len(vectors))
    sums = csr_array((np.ones(len(rows), dtype=np.float32), (labels[rows], rows)), shape=shape) @ vectors
    sizes = np.bincount(labels[rows], minlength=shape[0])
    return sums / sizes[:, None].astype(np.float32), sizes


def cloud_like(points: Points, seed: int) -> Points:
    """As many points from a Gaussian with the same covariance: a cloud without groups, where there is nothing to find.

    Comparing with such a cloud is the idea of the gap statistic: Tibshirani, Walther & Hastie, 2001.
    """
    rng = np.random.default_rng(seed)
    centred = points.vectors - points.vectors.mean(axis=0)
    vectors = unit(rng.standard_normal((len(points), len(points)), dtype=np.float32) @ centred)
    return Points(vectors, np.ones_like(points.weights), np.arange(len(vectors)))
