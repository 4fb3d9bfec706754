"""Phase 1: where rules come from."""
