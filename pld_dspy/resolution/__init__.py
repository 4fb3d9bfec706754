"""Phase 3: the rules are repaired, edit by edit, and a gate decides about each."""
