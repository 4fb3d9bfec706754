"""A second look at what a clustering left out: rare rules are the long tail, not rubbish."""

import numpy as np

from pld_dspy.clustering.points import Points
from pld_dspy.clustering.quality import centres, tidy


def second_look(points: Points, labels: np.ndarray) -> np.ndarray:
    """Give noise points, which have the label -1, a cluster where they have one; labels come back as `tidy` gives them.

    A noise point joins the nearest cluster if it lies no farther from the cluster's mean than the members do at most.
    Of the others, two that are each other's nearest become a cluster if they are as near as members usually are to the
    mean of theirs. What is left stays noise.
    """
    labels = tidy(labels, points.weights)
    noise = np.flatnonzero(labels < 0)
    if not len(noise) or labels.max() < 0:
        return labels
    means, _ = centres(points.vectors, labels)
    inside = np.flatnonzero(labels >= 0)
    spread = 1 - np.einsum("ij,ij->i", points.vectors[inside], means[labels[inside]])
    reach = np.zeros(len(means), dtype=np.float32)
    np.maximum.at(reach, labels[inside], spread)
    distances = 1 - points.vectors[noise] @ means.T
    nearest = distances.argmin(axis=1)
    joins = distances[np.arange(len(noise)), nearest] <= reach[nearest]
    labels[noise[joins]] = nearest[joins]
    rest = noise[~joins]
    for one, other in _pairs(points, rest, float(np.median(spread))):
        labels[[one, other]] = labels.max() + 1
    return tidy(labels, points.weights)


def _pairs(points: Points, rest: np.ndarray, within: float) -> list[tuple[int, int]]:
    """Mutual nearest neighbours among some points that are at most so far apart."""
    graph = points.graph[rest][:, rest].tocsr()
    graph.setdiag(2.0)
    best = np.full(len(rest), -1)
    for row in np.flatnonzero(np.diff(graph.indptr)):
        start, end = graph.indptr[row : row + 2]
        nearest = start + int(graph.data[start:end].argmin())
        if graph.data[nearest] <= within:
            best[row] = graph.indices[nearest]
    return [(rest[row], rest[mate]) for row, mate in enumerate(best) if mate > row and best[mate] == row]
