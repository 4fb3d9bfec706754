"""Phase 2, first half: which rules say the same, found by an Optuna study without looking at any label."""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from pld_dspy.clustering.algorithms import ALGORITHMS, Algorithm, algorithms_of
from pld_dspy.clustering.noise import second_look
from pld_dspy.clustering.points import Points, check_reduction, points_of, unit
from pld_dspy.clustering.quality import Quality, cloud_like, measure, tidy
from pld_dspy.clustering.studies import open_study, opened, run_trials
from pld_dspy.errors import PLDError, reason
from pld_dspy.settings import worded

if TYPE_CHECKING:
    import optuna
    from sklearn.base import ClusterMixin

    from pld_dspy.clustering.algorithms import Trial

log = logging.getLogger(__name__)

MAX_CLUSTERS = 200
FEWEST = 4  # distinct embeddings that can be searched
WEAK = 0.1  # the structure under which it is called weak
SAMPLE = 1_000  # points whose silhouettes decide whether a trial is pruned


@dataclass(frozen=True)
class Clustering:
    """What groups with what; clusters are numbered from the biggest down.

    The alternatives are the best clusterings of the search with at most a half and a quarter of the clusters, where
    there are such. Where the structure is weak, the alternative is what the search found, and the labels leave all
    distinct embeddings alone if there are not more than `max_clusters`, else they divide the continuum evenly by
    k-means, if that is among the algorithms.
    """

    labels: np.ndarray  # an int for each embedding, -1 for noise
    params: dict[str, Any]  # the algorithm's name and its parameters, or a passed estimator; {} where equal ones group
    study: "optuna.Study | None" = field(repr=False)  # of the search; its trials' attributes say what they came to
    quality: Quality  # of these labels, after the second look at noise
    # How far the silhouette is on the way from what the same setting reaches on a cloud without structure (0) to the
    # best that there can be (1); None where that was not looked at.
    structure: float | None = None
    alternatives: tuple["Clustering", ...] = ()

    @property
    def weak(self) -> bool:
        """Whether the embeddings have no clear groups."""
        return self.structure is not None and self.structure < WEAK

    def __str__(self) -> str:
        clusters, silhouette, noise, _, biggest = self.quality
        text = f"{clusters} clusters, the biggest with {biggest:.0%}; left out {noise:.0%}; silhouette {silhouette:.2f}"
        return f"{text}; weak structure: there are no clear groups" if self.weak else text


def search_clusters(
    embeddings: np.ndarray,
    n_trials: int = 50,
    seed: int = 0,
    *,
    algorithms: Sequence[str | Algorithm] = tuple(ALGORITHMS),
    reduction: Any = "centre",
    max_clusters: int = MAX_CLUSTERS,
    storage: "str | optuna.storages.BaseStorage | None" = None,
    study_name: str | None = None,
    display_progress: bool = False,
) -> Clustering:
    """Search the algorithm and parameters that group embeddings best for a rule set.

    Args:
        embeddings: n x d numbers; rows are scaled to length one. Rows of zeros are noise.
        n_trials: settings to try; those that a stored study has count.
        seed: of every draw; equal seeds find equal clusters.
        algorithms: "average", "dbscan", "hdbscan", "kmeans", names that other packages register, or `Algorithm`s.
        reduction: "none", "centre" (takes off what all embeddings share), "pca", "umap", or an object with
            scikit-learn's `fit_transform`.
        max_clusters: how many clusters the prompt can hold; what is only in smaller ones counts as thrown away.
        storage: an Optuna storage, or its URL (sqlite:///study.db, postgresql://...), or the path of a journal file.
            Processes that share it share the trials, and a search that was stopped goes on.
        study_name: in the storage; by default one that is made from the embeddings.
        display_progress: show a progress bar on standard error.

    Returns:
        The best clustering found. Of fewer than four distinct embeddings, only equal ones group.

    Raises:
        PLDError: the embeddings are not finite numbers in n rows, an argument is none that there is, or the storage
            cannot be used or holds a study of something else.

    >>> found = search_clusters([[1, 0], [0, 1], [1, 0.1], [0.1, 1], [1, 0.2], [-1, -1]], n_trials=5)
    >>> found.labels.tolist()
    [0, 1, 0, 1, 0, -1]
    """
    from threadpoolctl import threadpool_limits

    chosen = _check(n_trials, seed, algorithms, reduction, max_clusters, study_name)
    embeddings = checked(embeddings)
    digest = hashlib.sha256(embeddings.tobytes()).hexdigest()[:12]
    settings = f"{','.join(chosen)}/{worded(reduction)}/{max_clusters}/{seed}"
    study = open_study(storage, study_name, {"embeddings": digest, "settings": settings})
    # One thread for a product of matrices: its sums, and so the clusters, are then the same on any number of cores.
    with threadpool_limits(1):
        points = points_of(embeddings, reduction, seed)
        search = _Search(points, chosen, max_clusters, seed, study)
        found = search.run(n_trials, display_progress) if len(points) >= FEWEST else search.alone()
    if found.weak:
        log.warning("%s", found)
    return found


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise PLDError if an argument of `search_clusters` will not do, before a compile pays for its rules."""
    parameters = signature(search_clusters).parameters
    known = [name for name in parameters if name not in ("embeddings", "display_progress")]
    if unknown := [str(name) for name in settings if name not in known]:
        raise PLDError(f"The clustering has no setting {', '.join(unknown)}; it has {', '.join(known)}.")
    values = {name: settings.get(name, parameters[name].default) for name in known}
    storage = values.pop("storage")
    _check(**values)
    if storage is not None:
        opened(storage)


def _check(
    n_trials: int,
    seed: int,
    algorithms: Sequence[str | Algorithm],
    reduction: Any,
    max_clusters: int,
    study_name: str | None,
) -> dict[str, Algorithm]:
    """Check arguments of `search_clusters`; the algorithms by name come back."""
    check_reduction(reduction)
    for name, value, least in (("n_trials", n_trials, 1), ("seed", seed, 0), ("max_clusters", max_clusters, 2)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value < 2**32:
            raise PLDError(f"The setting {name} is a whole number from {least} to {2**32 - 1}, not {value!r}.")
    if not isinstance(study_name, str | None):
        raise PLDError(f"The setting study_name is a text, not {study_name!r}.")
    return algorithms_of(algorithms)


def cluster_with(estimator: "ClusterMixin", embeddings: np.ndarray) -> Clustering:
    """Cluster by a scikit-learn estimator as it is: no search, no reduction, no second look at noise.

    Raises PLDError if the embeddings are not finite numbers in n rows, or the estimator cannot cluster them.
    """
    from sklearn.base import clone

    embeddings = checked(embeddings)
    try:
        found = np.asarray(clone(estimator).fit_predict(embeddings))
    except Exception as error:  # an estimator is anybody's code
        raise PLDError(f"{estimator} cannot cluster {len(embeddings)} embeddings: {reason(error)}.") from error
    n = len(embeddings)
    if found.shape != (n,):
        raise PLDError(f"{estimator} gave labels of the shape {found.shape} for {n} embeddings.")
    points = Points(embeddings, np.ones(n, dtype=int), np.arange(n))
    labels = tidy(found, points.weights)
    return Clustering(labels, {"estimator": repr(estimator)}, None, measure(points, labels, n))


def checked(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings as float32 unit rows; PLDError if they are not n rows of finite numbers."""
    try:
        rows = np.asarray(embeddings)
        rows = rows if rows.dtype.kind == "f" else rows.astype(np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise PLDError(f"The embeddings are no array of numbers: {reason(error)}.") from error
    if rows.ndim != 2:
        raise PLDError(f"The embeddings must be an array of n rows; this one has the shape {rows.shape}.")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise PLDError(f"{len(bad)} of {len(rows)} embeddings are not finite numbers; the first is row {bad[0]}.")
    largest = np.abs(rows).max(axis=1, initial=0, keepdims=True)
    # By powers of two, which rounds nothing: the square of a huge or tiny number is none that float32 has.
    return unit(np.ldexp(rows, -np.frexp(largest)[1]).astype(np.float32))


@dataclass(frozen=True)
class _Search:
    """A search: what its trials share, and what each does."""

    points: Points
    algorithms: dict[str, Algorithm]
    max_clusters: int
    seed: int
    study: "optuna.Study"

    def run(self, n_trials: int, display_progress: bool) -> Clustering:
        """Run the trials; the best one's clusters, with what is noise looked at again."""
        named = self.algorithms.items()
        starts = [{"algorithm": name, **algorithm.start(self.points, self.max_clusters)} for name, algorithm in named]
        run_trials(self.study, self._objective, n_trials, self.seed, starts, display_progress)
        best = self.study.best_trial
        cloud = cloud_like(self.points, self.seed)  # where there is nothing to find
        chance = measure(cloud, self._labels(best, cloud)[1], self.max_clusters).silhouette
        structure = (best.user_attrs["silhouette"] - chance) / (1 - chance)
        found = replace(self._clustered(best), structure=structure)
        if not found.weak:
            return replace(found, alternatives=self._coarser(found, best))
        if len(self.points) <= self.max_clusters:
            return replace(self.alone(), structure=structure, alternatives=(found,))
        if ALGORITHMS["kmeans"] in self.algorithms.values():
            return replace(self._clustered(self._even()), structure=structure, alternatives=(found,))
        return found

    def _coarser(self, found: Clustering, best: "optuna.trial.FrozenTrial") -> tuple[Clustering, ...]:
        from optuna.trial import TrialState

        finished = self.study.get_trials(states=(TrialState.COMPLETE,))
        finished.sort(key=lambda trial: -trial.values[0])
        several: list[Clustering] = []
        for part in (2, 4):
            most = best.user_attrs["clusters"] / part
            coarse = (self._clustered(trial) for trial in finished if 2 <= trial.user_attrs["clusters"] <= most)
            # The second look at noise may have made pairs of it.
            first = next((each for each in coarse if each.quality.clusters <= found.quality.clusters / part), None)
            if first and not any(np.array_equal(first.labels, other.labels) for other in several):
                several.append(first)
        return tuple(several)

    def _even(self) -> "optuna.trial.FixedTrial":
        """k-means into as many clusters as a rule of thumb says (Mardia, Kent & Bibby, 1979), for a continuum."""
        from optuna.trial import FixedTrial

        most = max(2, min(self.max_clusters, len(self.points) // 2))
        clusters = min(most, max(2, round(math.sqrt(self.points.weights.sum() / 2))))
        return FixedTrial({"algorithm": "kmeans", "kmeans_n_clusters": clusters})

    def alone(self) -> Clustering:
        """Equal embeddings group, all others stand alone."""
        return self._clustering({}, tidy(np.arange(len(self.points)), self.points.weights))

    def _objective(self, trial: "optuna.Trial") -> float:
        from optuna import TrialPruned

        labels = self._labels(trial, self.points)[1]
        if len(self.points) > 2 * SAMPLE:
            rows = np.random.default_rng(self.seed).choice(len(self.points), SAMPLE, replace=False)
            trial.report(measure(self.points, labels, self.max_clusters, rows).value, step=0)
            if trial.should_prune():
                raise TrialPruned
        quality = measure(self.points, labels, self.max_clusters)
        for name, figure in quality._asdict().items():
            trial.set_user_attr(name, figure)
        return quality.value

    def _labels(self, trial: "Trial", points: Points) -> tuple[dict[str, Any], np.ndarray]:
        """Draw a setting and cluster points by it; a finished trial gives the setting that it drew."""
        algorithm = self.algorithms[trial.suggest_categorical("algorithm", tuple(self.algorithms))]
        params = algorithm.suggest(trial, self.points, self.max_clusters)
        labels = algorithm.labels(points, params, self.seed)
        return {"algorithm": algorithm.name, **params}, tidy(labels, points.weights)

    def _clustered(self, trial: "Trial") -> Clustering:
        params, labels = self._labels(trial, self.points)
        return self._clustering(params, second_look(self.points, labels))

    def _clustering(self, params: dict[str, Any], labels: np.ndarray) -> Clustering:
        """Labels of the points as a clustering of all embeddings."""
        quality = measure(self.points, labels, self.max_clusters, n=len(self.points.inverse))
        return Clustering(self.points.spread(labels), params, self.study, quality)
