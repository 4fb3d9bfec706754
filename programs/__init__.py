"""The multimodal student programs."""

from pld_dspy.programs.scienceqa import ScienceQA
from pld_dspy.programs.spiqa import SPIQA

__all__ = ["SPIQA", "ScienceQA"]
