"""Phase 2, second half: one rule for each cluster."""
