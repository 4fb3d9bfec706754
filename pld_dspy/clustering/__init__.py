"""Phase 2, first half: which micro-rules say the same."""

from pld_dspy.clustering.algorithms import Algorithm
from pld_dspy.clustering.search import Clustering, search_clusters
from pld_dspy.embedders import Embedder, tfidf

__all__ = ["Algorithm", "Clustering", "Embedder", "search_clusters", "tfidf"]
