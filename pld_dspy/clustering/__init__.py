"""Phase 2, first half: which micro-rules say the same."""

from pld_dspy.clustering.embedders import Embedder, tfidf
from pld_dspy.clustering.search import Clustering, search_clusters

__all__ = ["Clustering", "Embedder", "search_clusters", "tfidf"]
