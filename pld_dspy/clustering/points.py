"""What is clustered, and the work on it that all trials of a search share."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from pld_dspy.errors import PLDError, reason

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST_POINTS = 5_000  # distinct embeddings that are clustered one by one; more are gathered into so many groups first
NEIGHBOURS = 128  # that a point has on average within the graph's radius
NEAREST = 10  # neighbours of a point that the graph holds beyond its radius
ZERO = 1e-7  # what the graph holds for a distance of zero
BLOCK = 1_000  # rows of a distance matrix that are computed at a time
UMAP_NEIGHBOURS = 15  # its default; it needs more points than that, and fewer are only centred
REDUCTIONS = ("none", "centre", "pca", "umap")


@dataclass(frozen=True)
class Points:
    """Unit vectors that stand for one or more embeddings each.

    `vectors` is m x d float32, `weights` m ints: how many embeddings each stands for, `inverse` n ints: which point
    stands for each embedding, -1 where none does.
    """

    vectors: np.ndarray
    weights: np.ndarray
    inverse: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def radius(self) -> float:
        """The cosine distance within which a point has `NEIGHBOURS` others on average, estimated on a sample.

        It is above `ZERO` by so much that a hundredth of it is no less: points may be all but equal.
        """
        rows = np.random.default_rng(0).permutation(len(self))[:BLOCK]
        radius = np.quantile(1 - self.vectors[rows] @ self.vectors.T, min(1.0, NEIGHBOURS / len(self)))
        return max(float(radius), 101 * ZERO)

    @cached_property
    def graph(self) -> "csr_array":
        """All pairs of points within `radius`, as a sparse symmetric matrix of their distances; each row sorted.

        Each point's `NEAREST` neighbours are in it, however far they are: HDBSCAN needs so many.
        """
        from scipy.sparse import csr_array, vstack
        from sklearn.neighbors import sort_graph_by_row_values

        def near(distances: np.ndarray) -> "csr_array":
            within = distances <= self.radius
            few = np.flatnonzero(within.sum(axis=1) < NEAREST + 1)
            if len(few) and len(self) > NEAREST + 1:
                nearest = distances[few].argpartition(NEAREST, axis=1)[:, : NEAREST + 1]
                within[few[:, None], nearest] = True
            row, column = np.nonzero(within)
            # A stored zero would be lost at the next sum or transposition.
            return csr_array((np.maximum(distances[row, column], ZERO), (row, column)), shape=distances.shape)

        graph = vstack([near(distances) for distances in _distances(self.vectors)], format="csr")
        return sort_graph_by_row_values(graph.maximum(graph.T), warn_when_not_sorted=False)

    @cached_property
    def merges(self) -> np.ndarray:
        """The dendrogram of average linkage, weighted: m - 1 pairs of points whose clusters merge, lowest first."""
        distances = np.concatenate(list(_distances(self.vectors)))
        return average_linkage(distances, self.weights)

    def spread(self, labels: np.ndarray) -> np.ndarray:
        """Labels of the points as labels of the embeddings; what no point stands for is noise, -1."""
        return np.append(labels, -1)[self.inverse]


def points_of(embeddings: np.ndarray, reduction: Any, seed: int) -> Points:
    """Reduce n x d embeddings, and gather those that are equal, or very many, into weighted points.

    The rows are of length one, or zero: no point stands for those. More than `MOST_POINTS` distinct ones are gathered
    around so many of them, each with its nearest, and a point is the mean direction of its group (the idea of BIRCH:
    Zhang et al., 1996). The seed is that of the reduction, as `reduced` takes it, and of which embeddings the groups
    form around.
    """
    from scipy.sparse import csr_array

    inverse, somewhere = np.full(len(embeddings), -1), embeddings.any(axis=1)
    known = embeddings[somewhere]
    distinct, inverse[somewhere], counts = np.unique(known, axis=0, return_inverse=True, return_counts=True)
    vectors = reduced(distinct, reduction, seed)
    if len(vectors) <= MOST_POINTS:
        return Points(vectors, counts, inverse)
    centres = vectors[_centres(vectors, seed)]
    nearest = np.concatenate([block.argmin(axis=1) for block in _distances(vectors, centres)])
    rows = np.arange(len(vectors))
    members = csr_array((counts.astype(np.float32), (nearest, rows)), shape=(MOST_POINTS, len(vectors)))
    weights = np.bincount(nearest, counts, minlength=MOST_POINTS).astype(int)
    kept = np.flatnonzero(weights)  # two centres may have become one vector in the reduction
    number = np.searchsorted(kept, nearest)
    return Points(unit(members @ vectors)[kept], weights[kept], np.append(number, -1)[inverse])


def _centres(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Rows to gather the others around: most drawn at random, and those that lie farthest from them.

    The latter keep a few rules that are like no others from being lost among many.
    """
    drawn = np.random.default_rng(seed).choice(len(vectors), MOST_POINTS * 4 // 5, replace=False)
    away = np.concatenate([block.min(axis=1) for block in _distances(vectors, vectors[drawn])])
    away[drawn] = -1
    return np.sort(np.concatenate([drawn, np.argsort(-away, kind="stable")[: MOST_POINTS - len(drawn)]]))


def reduced(vectors: np.ndarray, reduction: Any, seed: int) -> np.ndarray:
    """Vectors without what all of them have in common, and optionally in fewer dimensions; float32 unit rows.

    Sentence embeddings share a common component, which makes all of them alike: Mu & Viswanath, "All-but-the-Top", ICLR
    2018. "centre" takes the mean off, "pca" and "umap" (the extra `umap`) also reduce the dimensions. Raises PLDError
    as `check_reduction`, and where a transformer fails.
    """
    check_reduction(reduction)
    if len(vectors) < 2 or reduction == "none":
        return vectors
    # Each distinct vector counts once: a frequent one would else be the mean, and its opposite common to all others.
    centred = vectors - vectors.mean(axis=0)
    if reduction == "centre" or (isinstance(reduction, str) and len(vectors) <= UMAP_NEIGHBOURS):
        return unit(centred)
    transformer = _transformer(reduction, vectors.shape, seed)
    try:
        fewer = np.asarray(transformer.fit_transform(centred), dtype=np.float32)
    except Exception as error:  # a transformer is anybody's code
        raise PLDError(f"{transformer} cannot reduce {len(vectors)} embeddings: {reason(error)}.") from error
    if fewer.ndim != 2 or len(fewer) != len(vectors) or not np.isfinite(fewer).all():
        shape = f"an array of shape {fewer.shape}"
        raise PLDError(f"{transformer} must make {len(vectors)} rows of finite numbers of the embeddings, not {shape}.")
    return unit(fewer - fewer.mean(axis=0))


def check_reduction(reduction: Any) -> None:
    """Raise PLDError if it is neither one of `REDUCTIONS` nor a transformer, or its package is not installed."""
    if isinstance(reduction, str) and reduction not in REDUCTIONS:
        raise PLDError(f"There is no reduction {reduction!r}: give {', '.join(REDUCTIONS)} or a transformer.")
    if not isinstance(reduction, str) and (isinstance(reduction, type) or not hasattr(reduction, "fit_transform")):
        raise PLDError(f"{reduction!r} is neither the name of a reduction nor a transformer with fit_transform.")
    if reduction == "umap" and find_spec("umap") is None:
        raise PLDError("The reduction 'umap' needs the package umap-learn: install the extra 'umap'.")


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length one; zero rows stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6)


def average_linkage(distances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average linkage of weighted points by the nearest-neighbour chain (Müllner, arXiv:1109.2378).

    scipy's linkage takes no weights, and one point for each of thousands of equal rules would be their number squared.
    The m x m `distances` are overwritten; `weights` say how many points each stands for. Returns (m - 1) x 2 ints: a
    point of each of the two clusters that merge, in the order of their distance.
    """
    np.fill_diagonal(distances, np.inf)
    sizes = weights.astype(np.float32)
    merges: list[tuple[int, int]] = []
    heights: list[float] = []
    chain: list[int] = []
    alive = 0  # no point before it is still a cluster's
    gone = np.zeros(len(distances), dtype=bool)
    while len(merges) < len(distances) - 1:
        if not chain:
            alive += int(gone[alive:].argmin())
            chain = [alive]
        last = chain[-1]
        row = distances[last]
        nearest = int(row.argmin())
        if len(chain) > 1 and row[chain[-2]] <= row[nearest]:
            nearest = chain[-2]  # of equally near clusters the chain's own, or it would never end
        if len(chain) < 2 or nearest != chain[-2]:
            chain.append(nearest)
            continue
        del chain[-2:]
        merges.append((last, nearest))
        heights.append(float(row[nearest]))
        total = sizes[last] + sizes[nearest]
        other = distances[nearest]
        # Rounding must not bring a mean below both, or a chain could come back to where it was.
        merged = np.maximum((sizes[last] * row + sizes[nearest] * other) / total, np.minimum(row, other))
        merged[nearest] = np.inf
        distances[nearest], distances[:, nearest] = merged, merged
        distances[last], distances[:, last] = np.inf, np.inf
        sizes[nearest], gone[last] = total, True
    return np.array(merges, dtype=int).reshape(-1, 2)[np.argsort(heights, kind="stable")]


def _distances(vectors: np.ndarray, to: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Cosine distances of blocks of rows to all rows. Each block is the same on any number of threads."""
    from joblib import Parallel, delayed

    others = vectors if to is None else to

    def block(start: int) -> np.ndarray:
        distances = 1 - vectors[start : start + BLOCK] @ others.T
        return np.clip(distances, 0, 2, out=distances)

    starts = range(0, len(vectors), BLOCK)
    yield from Parallel(n_jobs=-1, prefer="threads", return_as="generator")(delayed(block)(start) for start in starts)


def _transformer(reduction: Any, shape: tuple[int, ...], seed: int) -> Any:
    if reduction == "pca":
        from sklearn.decomposition import PCA

        return PCA(min(64, *shape), random_state=seed)
    if reduction == "umap":
        from umap import UMAP

        return UMAP(n_neighbors=UMAP_NEIGHBOURS, n_components=10, metric="cosine", random_state=seed, n_jobs=1)
    return reduction
