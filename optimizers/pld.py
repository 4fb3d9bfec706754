"""Prompt-level distillation as rows of the comparison: after clustering only, complete, and without a teacher."""

import dspy

from pld_dspy import PLDTeleprompter
from pld_dspy.optimizers.registry import Job, Optimizer
from pld_dspy.run import Budget


def _compiled(job: Job, teacher: str | None = None, max_iterations: int | None = None) -> dspy.Module:
    teleprompter = PLDTeleprompter(
        job.metric,
        job.teacher_lm,
        num_threads=job.num_threads,
        budget=Budget(max_iterations=max_iterations, max_lm_calls=job.max_lm_calls),
        log_dir=job.folder,
        seed=job.seed,
    )
    return teleprompter.compile(job.student, trainset=job.trainset, valset=job.valset, teacher=teacher)


CLUSTERED = Optimizer(
    "PLD, clustered only",
    "PLDTeleprompter with max_iterations=0: the rules as the clusters gave them, without repair and pruning; else its "
    "defaults. Chooses on the validation set.",
    lambda job: _compiled(job, max_iterations=0),
)

COMPLETE = Optimizer(
    "PLD",
    "PLDTeleprompter with its defaults: 2,000 tokens of rules, three rounds of repair, the gate and pruning. "
    "Chooses on the validation set.",
    _compiled,
)

RATIONALES = Optimizer(
    "PLD, rationales as teacher",
    "PLDTeleprompter with teacher='rationales': rules are sentences of the data's own lectures and solutions, no model "
    "writes any; pruned on the validation set.",
    lambda job: _compiled(job, teacher="rationales"),
)
