"""Phase 1: where rules come from."""

from pld_dspy.extraction.sources import (
    ATTEMPTS,
    Examples,
    People,
    Rationales,
    RewrittenRationales,
    Source,
    extract,
    sources_of,
)

__all__ = ["ATTEMPTS", "Examples", "People", "Rationales", "RewrittenRationales", "Source", "extract", "sources_of"]
