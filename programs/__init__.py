"""The multimodal student programs."""

from programs.scienceqa import ScienceQA
from programs.spiqa import SPIQA

__all__ = ["SPIQA", "ScienceQA"]
