"""Phase 4: which version of the rules a compile returns, and what it found out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dspy

from pld_dspy.clustering import Clustering
from pld_dspy.context import Compile, Version
from pld_dspy.rules import RuleSet, Step
from pld_dspy.run import Usage
from pld_dspy.student import Coverage, coverage
from pld_dspy.synthesis import Candidate


@dataclass
class Findings:
    """What the phases have come to so far; a budget may end them anywhere."""

    student_score: float | None = None  # of the student as it came, on validation
    clusterings: dict[str, Clustering] = field(default_factory=dict)  # by predictor name
    candidates: list[Candidate] = field(default_factory=list)  # the clusterings whose rules were validated


@dataclass(frozen=True)
class Distillation:
    """What a compile found out; the compiled program carries it as `.pld`."""

    rules: Mapping[str, RuleSet]  # by predictor name
    in_prompt: Mapping[str, RuleSet]  # those of them that fit the token budget
    returned: str  # which program came back, and why, in a sentence
    steps: Sequence[Step]  # every decision of conflict resolution
    validation: Mapping[str, float]  # score of the student as it came, with the clustered rules, and as returned
    usage: Mapping[str, Usage]  # by role, teacher and student
    budget_spent: bool
    models: Mapping[str, str]  # by role
    clusterings: Mapping[str, Clustering]  # what the search found, by predictor name
    candidates: Sequence[Candidate]  # the clusterings whose rules were validated
    coverage: Coverage  # of the training examples by the rules in the prompt


def finish(context: Compile, findings: Findings, last: bool) -> dspy.Module:
    """The best program on the validation set, or the last one, with what there is to know of it.

    Args:
        context: of the compile.
        findings: of its phases.
        last: return the last version whatever its score, as a loop without a gate does.

    Returns:
        The program, with a `Distillation` as its `.pld`; the run folder holds both.
    """
    spent = context.runner.spent
    version, returned = best_version(findings.student_score, context.versions, last)
    if spent:
        returned += " The budget ended the compile before it was through."
    clustered = next((candidate.score for candidate in findings.candidates if candidate.chosen), None)
    stages = {"student": findings.student_score, "clustered": clustered, "compiled": version.score}
    in_prompt = context.in_prompt(version.rules)
    program = context.build(version.rules)
    program._compiled = True
    program.pld = Distillation(
        rules=version.rules,
        in_prompt=in_prompt,
        returned=returned,
        steps=context.steps,
        validation={stage: score for stage, score in stages.items() if score is not None},
        usage={role: context.runner.meter(role).total() for role in ("teacher", "student")},
        budget_spent=spent,
        models={
            "teacher": context.teacher_lm.model if context.teacher else "no model",
            "student": context.student_lm.model,
        },
        clusterings=findings.clusterings,
        candidates=findings.candidates,
        coverage=coverage(in_prompt, context.trainset, context.strata),
    )
    context.folder.write_program(program)
    context.folder.write("coverage.json", program.pld.coverage)
    context.folder.status("budget spent" if spent else "finished", context.runner.usage())
    return program


def best_version(student: float | None, versions: Sequence[Version], last: bool = False) -> tuple[Version, str]:
    """What a compile returns: of the student as it came and all validated versions, the one with the best score.

    Of versions with equal scores it is the latest, which has most repairs. Rules have to beat the student as it came,
    since they cost tokens with every question.

    Args:
        student: validation score of the student as it came.
        versions: the clustered rules and what was accepted since, in this order.
        last: return the last version whatever its score.

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
