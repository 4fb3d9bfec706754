"""Whether the models of a compile answer: one call for each role, before anything is paid."""

from collections.abc import Callable

import dspy
from pydantic import BaseModel

from pld_dspy.context import Compile
from pld_dspy.errors import PLDError
from pld_dspy.examples import labelled_predictors
from pld_dspy.experiment.compiling import Task
from pld_dspy.extraction import Examples
from pld_dspy.models.embedders import AnyEmbedder, described_embedder, embed
from pld_dspy.run import RunFolder, Runner
from pld_dspy.teacher import Teacher


class Finding(BaseModel):
    """What one model makes of a first call."""

    role: str
    model: str
    problem: str | None = None  # why it cannot be used; None where it can
    reply: str = ""  # an answer, or a rule


def examine(
    task: Task, student_lm: dspy.BaseLM, teacher_lm: dspy.BaseLM | None, embedder: AnyEmbedder
) -> list[Finding]:
    """Ask each model of a compile once: the student a question, the teacher for a rule, the embedder for a vector.

    Args:
        task: its first training example is what is asked about.
        student_lm, teacher_lm, embedder: the models; no teacher where rules are taken as they are.

    Returns:
        A finding for each role.
    """
    first = task.examples["train"][:1]
    student, teacher = (lm.copy(cache=False) for lm in (student_lm, teacher_lm or student_lm))
    context = Compile(
        student=task.program, student_lm=student, teacher=Teacher(), teacher_lm=teacher,
        trainset=first, valset=first, metric=task.metric, embedder=embedder, runner=Runner(1), folder=RunFolder(None),
    )  # fmt: skip

    def answer() -> str:
        scored = context.score(task.program, first, "Asking the student").items[0]
        if scored.error:
            raise PLDError(scored.error)
        return scored.answer

    def rule() -> str:
        learners = list(labelled_predictors(task.program, first))
        return Examples().micro_rules(context, learners)[0].rule

    def vector() -> str:
        return f"{embed(['If this is embedded, then the model is there.'], embedder).shape[1]} numbers"

    with dspy.context(lm=student):
        findings = [_finding("student", student_lm.model, answer)]
        if teacher_lm is not None:
            findings.append(_finding("teacher", teacher_lm.model, rule))
        return [*findings, _finding("embedder", described_embedder(embedder), vector)]


def _finding(role: str, model: str, call: Callable[[], str]) -> Finding:
    try:
        return Finding(role=role, model=model, reply=call())
    except PLDError as error:
        return Finding(role=role, model=model, problem=str(error))
