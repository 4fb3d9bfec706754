"""Phase 2, first half: which micro-rules say the same."""

from pld_dspy.clustering.algorithms import Algorithm
from pld_dspy.clustering.micro_rules import Clusterer, cluster, clusterer_identity, clusterer_of
from pld_dspy.clustering.search import Clustering, search_clusters
from pld_dspy.models.embedders import Embedder, tfidf

__all__ = [
    "Algorithm",
    "Clusterer",
    "Clustering",
    "Embedder",
    "cluster",
    "clusterer_identity",
    "clusterer_of",
    "search_clusters",
    "tfidf",
]
