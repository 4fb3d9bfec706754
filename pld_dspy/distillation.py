"""Phase 4: which version of the rules a compile returns, and what it found out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dspy

from pld_dspy.clustering import Clustering
from pld_dspy.context import Compile, Version
from pld_dspy.errors import OfNoUse
from pld_dspy.rules import RuleSet, Step
from pld_dspy.run import FEW, Failures, Usage, grouped
from pld_dspy.statistics import common_means, percent
from pld_dspy.student import Coverage, Evaluation, coverage
from pld_dspy.synthesis import Candidate


@dataclass
class Findings:
    """What the phases have come to so far; a budget may end them anywhere."""

    student: Evaluation | None = None  # of the student as it came, on validation
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
    failures: Sequence[Failures]  # what came to nothing, also when it was asked again
    models: Mapping[str, str]  # by role
    clusterings: Mapping[str, Clustering]  # what the search found, by predictor name
    candidates: Sequence[Candidate]  # the clusterings whose rules were validated
    coverage: Coverage  # of the training examples by the rules in the prompt


def preflight(context: Compile) -> None:
    """Ask the student one question before anything else is paid, and a few if its reply is of no use.

    Raises:
        PLDError: it gives no reply, or none of its replies can be used, and why.
        BudgetSpent: there is no call left.
    """
    if context.score(context.build({}), context.valset[:1], "Asking a first question").errors:
        several = context.score(context.build({}), context.valset[:FEW], "Asking first questions").items
        if all(item.error for item in several):
            raise OfNoUse(f"Not one of the student's first answers is of use: {several[0].error}")


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
    version, returned = best_version(findings.student, context.versions, last)
    if spent:
        returned += " The budget ended the compile before it was through."
    clustered = next((candidate.score for candidate in findings.candidates if candidate.chosen), None)
    student_score = findings.student.score if findings.student else None
    stages = {"student": student_score, "clustered": clustered, "compiled": version.score}
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
        failures=grouped(context.runner.failures),
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


def ask_again(context: Compile, findings: Findings) -> None:
    """Ask validation questions again that got no reply, before the versions of the rules are compared.

    Raises:
        BudgetSpent: there are calls left for some of them only.
    """
    if findings.student and findings.student.failed:
        findings.student = context.score(context.build({}), context.valset, "Asking again")
    for place, version in enumerate(context.versions):
        if version.validation and version.validation.failed:
            context.validate(place)


def best_version(student: Evaluation | None, versions: Sequence[Version], last: bool = False) -> tuple[Version, str]:
    """What a compile returns: of the student as it came and all validated versions, the one with the best score.

    Of versions with equal scores it is the latest, which has most repairs. Rules have to beat the student as it came,
    since they cost tokens with every question. Questions to which one of them got no reply count for none.

    Args:
        student: validation of the student as it came.
        versions: the clustered rules and what was accepted since, in this order.
        last: return the last version whatever its score.

    Returns:
        The version, with no rules for the student as it came, and a sentence about the choice.
    """
    if last and versions:
        return versions[-1], f"The last of {len(versions)} versions of the rules is returned, as the gate is off."
    as_it_came = Version({name: RuleSet() for version in versions[:1] for name in version.rules}, student)
    known = {number: version.validation for number, version in enumerate(versions) if version.validation is not None}
    if not known or student is None:
        return as_it_came, "No rules were validated: the student is returned as it came."
    without, *scores = common_means([student.scores, *(validation.scores for validation in known.values())])
    score, number = max(zip(scores, known, strict=True))
    if score <= without:
        return (
            as_it_came,
            "No rules scored better on the validation set than the student as it came "
            f"({percent(score)} at best against {percent(without)}): it is returned as it came.",
        )
    which = "The clustered rules are" if number == 0 else f"Version {number} of the rules (rules/{number:03d}.json) is"
    why = f"{which} returned: best on the validation set, {percent(score)} against {percent(without)} without."
    return versions[number], why
