"""Phase 2, first half: which micro-rules of a predictor say the same."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pld_dspy.clustering.search import MAX_CLUSTERS, Clustering, check_settings, cluster_with, search_clusters
from pld_dspy.context import Context
from pld_dspy.errors import PLDError
from pld_dspy.rules import MicroRule, by_predictor
from pld_dspy.settings import worded

UNTOLD = ("storage", "study_name")  # settings that change no cluster, and may hold a password


class Estimator(Protocol):
    """A clustering of scikit-learn's kind."""

    def fit_predict(self, vectors: Any) -> Any:
        """A label for each row, -1 for none."""


Clusterer = Mapping[str, Any] | Estimator  # settings of the search, or an estimator that is used as it is


def cluster(context: Context, micro_rules: Sequence[MicroRule], clusterer: Clusterer) -> dict[str, Clustering]:
    """Cluster the micro-rules of each predictor, by the search or by an estimator."""
    clusterings = {}
    for name, rules in by_predictor(micro_rules).items():
        vectors = context.embed([rule.rule for rule in rules])
        if not isinstance(clusterer, Mapping):
            clusterings[name] = cluster_with(clusterer, vectors)
            continue
        settings = {"max_clusters": _held(context, rules), **clusterer}
        if settings.get("study_name") and len(context.student.predictors()) > 1:
            settings["study_name"] += f"-{name}"
        clusterings[name] = search_clusters(vectors, display_progress=context.display_progress, **settings)
    return clusterings


def clusterer_of(clustering: Clusterer | None, seed: int) -> Clusterer:
    """The search's settings with the seed, or the estimator that replaces it; PLDError if it will not do."""
    if clustering is None or isinstance(clustering, Mapping):
        settings = {"seed": seed, **(clustering or {})}
        check_settings(settings)
        return settings
    if isinstance(clustering, type) or not hasattr(clustering, "fit_predict"):
        raise PLDError(f"{clustering!r} is neither settings of the clustering nor an estimator with fit_predict.")
    return clustering


def clusterer_identity(clustering: Clusterer | None) -> str:
    """What run.json says of it."""
    if clustering is None or isinstance(clustering, Mapping):
        settings = sorted((clustering or {}).items())
        return " ".join(["search", *(f"{name}={worded(value)}" for name, value in settings if name not in UNTOLD)])
    return worded(clustering)


def _held(context: Context, micro_rules: Sequence[MicroRule]) -> int:
    """About how many rules the student's prompt can hold."""
    if context.max_rule_tokens is None:
        return MAX_CLUSTERS
    lengths = [context.tokens(f"\n- {rule.rule}") for rule in micro_rules]
    return min(MAX_CLUSTERS, max(2, round(context.max_rule_tokens / statistics.fmean(lengths))))
