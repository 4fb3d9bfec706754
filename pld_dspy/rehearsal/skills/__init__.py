"""The skills of the generated sample."""

from pld_dspy.rehearsal.skills.base import Problem, Skill
from pld_dspy.rehearsal.skills.diagrams import FoodWeb, Schematic
from pld_dspy.rehearsal.skills.experiments import Concentration, HeatFlow, Lever, Magnets
from pld_dspy.rehearsal.skills.map_directions import MapDirections
from pld_dspy.rehearsal.skills.results import LinePlot, ResultsTable
from pld_dspy.rehearsal.skills.verb_tense import VerbTense

__all__ = ["SKILLS", "Problem", "Skill", "skill_asked"]

SKILLS: tuple[Skill, ...] = (
    *(Concentration(), FoodWeb(), HeatFlow(), Lever(), Magnets(), MapDirections(), VerbTense()),  # ScienceQA
    *(LinePlot(), ResultsTable(), Schematic()),  # SPIQA
)


def skill_asked(text: str) -> Skill | None:
    """The skill that a text asks for, if any."""
    return next((skill for skill in SKILLS if skill.asks(text)), None)
