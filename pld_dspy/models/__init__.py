"""Language models by name, in this process or elsewhere."""

from pld_dspy.models.names import described, in_process, language_model, simulated

__all__ = ["described", "in_process", "language_model", "simulated"]
