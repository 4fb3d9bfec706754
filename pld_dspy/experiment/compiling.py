"""A whole experiment: compile a task's student, and score the test split before and after."""

import time

import dspy
from pydantic import BaseModel

from pld_dspy.errors import PLDError
from pld_dspy.experiment.tasks import Task
from pld_dspy.run import RunFolder, Runner, Usage
from pld_dspy.student import Coverage, Evaluator
from pld_dspy.teacher import Teacher
from pld_dspy.teleprompter import PLDTeleprompter


class BeforeAfter(BaseModel):
    """A figure of the student as it came and of the compiled one."""

    baseline: float | None
    compiled: float | None


class Summary(BaseModel):
    """What a compile came to: summary.json, and what `pld compile --json` prints."""

    program: str
    data: str
    modality: str
    models: dict[str, str]  # by role
    n: dict[str, int]  # by split
    skipped: int  # examples that were left out for a bad image
    score: BeforeAfter  # fractions of the test split
    validation: dict[str, float]
    rules: int  # in the student's prompt
    returned: str  # which program came back, and why
    coverage: Coverage  # of the training examples by the rules in the prompt
    prompt_tokens: BeforeAfter  # mean input of a question
    usage: dict[str, Usage]  # by role
    seconds: float
    log_dir: str


def compile_and_score(
    task: Task, teleprompter: PLDTeleprompter, student_lm: dspy.BaseLM, teacher: Teacher | str | None = None
) -> Summary:
    """Compile a task's program, score it and the program as it came on the test split, and write summary.json.

    Files go to the teleprompter's `log_dir`. `teacher` is the teleprompter's.

    Raises:
        PLDError: as `PLDTeleprompter.compile`; or the metric fails on a test example.
    """
    start = time.monotonic()
    return score_compiled(compile_task(task, teleprompter, student_lm, teacher), task, teleprompter, student_lm, start)


def compile_task(
    task: Task, teleprompter: PLDTeleprompter, student_lm: dspy.BaseLM, teacher: Teacher | str | None = None
) -> dspy.Module:
    """Compile a task's program on its examples; see `compile_and_score`."""
    for split, examples in task.examples.items():
        if not examples:
            raise PLDError(f"No example of {split} is left: {len(task.skipped)} were left out for a bad image.")
    train, val = task.examples["train"], task.examples["val"]
    with dspy.context(lm=student_lm):
        return teleprompter.compile(task.program, trainset=train, valset=val, teacher=teacher)


def score_compiled(
    compiled: dspy.Module, task: Task, teleprompter: PLDTeleprompter, student_lm: dspy.BaseLM, start: float
) -> Summary:
    """Score what `compile_task` returned, and the program as it came, on the test split.

    Args:
        compiled: the program.
        task: that it was compiled for.
        teleprompter: that compiled it.
        student_lm: answers.
        start: when the compile began, by `time.monotonic()`.
    """
    folder = RunFolder(teleprompter.log_dir)
    runner = Runner(
        teleprompter.num_threads, display_progress=teleprompter.display_progress, earlier=folder.state.usage
    )
    evaluate = Evaluator(teleprompter.metric or task.metric, runner, folder)
    with dspy.context(lm=student_lm):
        before = evaluate(task.program, task.examples["test"], "Testing the student")
        after = evaluate(compiled, task.examples["test"], "Testing the compiled student")
    folder.status(folder.state.status, runner.usage())
    summary = Summary(
        program=task.name,
        data=task.source,
        modality=task.modality,
        models=compiled.pld.models,
        n={split: len(examples) for split, examples in task.examples.items()},
        skipped=len(task.skipped),
        score=BeforeAfter(baseline=before.score, compiled=after.score),
        validation=compiled.pld.validation,
        rules=sum(len(rules) for rules in compiled.pld.in_prompt.values()),
        returned=compiled.pld.returned,
        coverage=compiled.pld.coverage,
        prompt_tokens=BeforeAfter(baseline=before.prompt_tokens, compiled=after.prompt_tokens),
        usage={role: runner.meter(role).total() for role in ("teacher", "student")} | task.usage,
        seconds=round(time.monotonic() - start, 1),
        log_dir=str(folder.path),
    )
    folder.write("summary.json", summary)
    return summary
