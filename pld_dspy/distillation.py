"""What a compile found out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pld_dspy.rules import RuleSet

if TYPE_CHECKING:
    from pld_dspy.clustering import Clustering
    from pld_dspy.rules.steps import Step
    from pld_dspy.run.usage import Usage
    from pld_dspy.student.coverage import Coverage
    from pld_dspy.synthesis.candidates import Candidate


@dataclass(frozen=True)
class Version:
    """A state of the rules, by predictor, and its validation score; None while it is not known."""

    rules: dict[str, RuleSet]
    score: float | None = None


@dataclass(frozen=True)
class Distillation:
    """What a compile found out; the compiled program carries it as `.pld`."""

    rules: dict[str, RuleSet]  # by predictor name
    in_prompt: dict[str, RuleSet]  # those of them that fit the token budget
    returned: str  # which program came back, and why, in a sentence
    steps: "list[Step]"  # every decision of conflict resolution
    validation: dict[str, float]  # score of the student as it came, with the clustered rules, and as returned
    usage: "dict[str, Usage]"  # by role, teacher and student
    budget_spent: bool
    models: dict[str, str]  # by role
    clusterings: "dict[str, Clustering]"  # what the search found, by predictor name
    candidates: "list[Candidate]"  # the clusterings whose rules were validated
    coverage: "Coverage"  # of the training examples by the rules in the prompt


def best_version(student: float | None, versions: list[Version], last: bool = False) -> tuple[Version, str]:
    """What a compile returns: of the student as it came and all validated versions, the one with the best score.

    Of versions with equal scores it is the latest, which has most repairs. Rules have to beat the student as it came,
    since they cost tokens with every question.

    Args:
        student: validation score of the student as it came.
        versions: the clustered rules and what was accepted since, in this order.
        last: return the last version whatever its score, as a loop without a gate does.

    Returns:
        The version, with no rules for the student as it came, and a sentence about the choice.
    """
    if last and versions:
        return versions[-1], f"The last of {len(versions)} versions of the rules is returned, as the gate is off."
    as_it_came = Version({name: RuleSet() for version in versions[:1] for name in version.rules}, student)
    known = [(version.score, number) for number, version in enumerate(versions) if version.score is not None]
    score, number = max(known, default=(0.0, -1))
    if not known or student is None:
        return as_it_came, "No rules were validated: the student is returned as it came."
    if score <= student:
        return (
            as_it_came,
            f"No rules scored better on the validation set than the student as it came ({score:.1%} at best against "
            f"{student:.1%}): it is returned as it came.",
        )
    which = "The clustered rules are" if number == 0 else f"Version {number} of the rules (rules/{number:03d}.json) is"
    return versions[number], f"{which} returned: best on the validation set, {score:.1%} against {student:.1%} without."
