"""Per-benchmark scores."""
