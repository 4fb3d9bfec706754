"""The skills of the generated sample."""

from pld_dspy.rehearsal.skills.bar_chart import BarChart
from pld_dspy.rehearsal.skills.base import Problem, Skill
from pld_dspy.rehearsal.skills.concentration import Concentration
from pld_dspy.rehearsal.skills.food_web import FoodWeb
from pld_dspy.rehearsal.skills.heat_flow import HeatFlow
from pld_dspy.rehearsal.skills.lever import Lever
from pld_dspy.rehearsal.skills.line_plot import LinePlot
from pld_dspy.rehearsal.skills.magnets import Magnets
from pld_dspy.rehearsal.skills.map_directions import MapDirections
from pld_dspy.rehearsal.skills.punnett_square import PunnettSquare
from pld_dspy.rehearsal.skills.results_table import ResultsTable
from pld_dspy.rehearsal.skills.schematic import Schematic
from pld_dspy.rehearsal.skills.sentence_type import SentenceType
from pld_dspy.rehearsal.skills.verb_tense import VerbTense

__all__ = ["SKILLS", "Problem", "Skill"]

SKILLS: tuple[Skill, ...] = (
    Concentration(),
    FoodWeb(),
    HeatFlow(),
    Lever(),
    Magnets(),
    MapDirections(),
    PunnettSquare(),
    SentenceType(),
    VerbTense(),
    BarChart(),
    LinePlot(),
    ResultsTable(),
    Schematic(),
)
