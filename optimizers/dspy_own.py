"""DSPy's own optimizers as rows of the comparison: its classes, with the settings that DSPy recommends.

The teacher's model writes whatever an optimizer has written (instructions, rules, demonstrations), the student's model
answers. Where an optimizer's size can be chosen, it is cut to what the cap on model calls has room for.
"""

from collections.abc import Callable
from typing import Any

import dspy
from dspy.teleprompt import Teleprompter

from pld_dspy.examples import rationale
from pld_dspy.optimizers.registry import CannotRun, Job, Optimizer, own_signatures
from pld_dspy.student import PASSED, in_words

LEAST_SCORED = 20  # training examples: on fewer, instructions score alike
SPARE = 10  # a tenth of the calls, for replies that are asked for once more
FEWER = 0.9  # of the examples, where a prompt was too long


def _bootstrap_random_search(job: Job) -> dspy.Module:
    optimizer = dspy.BootstrapFewShotWithRandomSearch(**_bootstrapping(job), num_threads=job.num_threads)
    return _compiled(job, optimizer, valset=job.valset)


def _mipro(job: Job, **demonstrations: int) -> dspy.Module:
    optimizer = dspy.MIPROv2(
        **_bootstrapping(job),
        prompt_model=job.teacher_lm,
        task_model=job.student_lm,
        num_threads=job.num_threads,
        seed=job.seed,
        **demonstrations,
    )
    return _compiled(job, optimizer, valset=job.valset)


def _copro(job: Job) -> dspy.Module:
    optimizer = dspy.COPRO(metric=job.metric, prompt_model=job.teacher_lm)
    predictors, rounds = len(job.student.predictors()), optimizer.depth
    # With several predictors, every round scores the earlier rounds' candidates again.
    scored = predictors * optimizer.breadth * (rounds if predictors == 1 else rounds * (rounds + 1) // 2)
    proposed = predictors * (optimizer.breadth * rounds - 1)
    fits = (_room(job) - proposed) // (scored * predictors)
    least = min(LEAST_SCORED, len(job.trainset))
    if fits < least:
        raise _too_dear(job, proposed + least * scored * predictors, f"to score {scored} wordings")
    evaluation = {"num_threads": job.num_threads, "display_progress": False}
    return _compiled(job, optimizer, trainset=job.trainset[:fits], eval_kwargs=evaluation)


def _infer_rules(job: Job) -> dspy.Module:
    predictors = len(job.student.predictors())
    candidate = predictors * (1 + len(job.valset))
    demonstrations = predictors * len(job.trainset)
    fits = (_room(job) - demonstrations) // candidate
    if fits < 1:
        raise _too_dear(job, demonstrations + candidate, "to find demonstrations and score one set of rules")
    optimizer = _InferRules(**_bootstrapping(job), num_candidates=min(10, fits), num_threads=job.num_threads)
    return _compiled(job, optimizer, student=own_signatures(job.student.deepcopy()), valset=job.valset)


def _simba(job: Job) -> dspy.Module:
    predictors, n = len(job.student.predictors()), len(job.trainset)
    optimizer = dspy.SIMBA(
        metric=job.metric,
        bsize=min(32, n),
        prompt_model=job.teacher_lm,
        teacher_settings={"lm": job.teacher_lm.copy()},  # SIMBA writes into this model's settings
        demo_input_field_maxlen=0,  # a picture is a long text to it, and a cut one is no picture
        num_threads=job.num_threads,
    )
    candidates = optimizer.num_candidates + 1

    def calls(steps: int) -> int:
        step = optimizer.bsize * (optimizer.num_candidates + candidates) * predictors + candidates
        return steps * step + min(steps + 1, candidates) * n * predictors

    fitting = [steps for steps in range(1, optimizer.max_steps + 1) if calls(steps) <= _room(job)]
    if not fitting:
        raise _too_dear(job, calls(1), "for one step")
    optimizer.max_steps = fitting[-1]
    return _compiled(job, optimizer, seed=job.seed)


def _gepa(job: Job) -> dspy.Module:
    from dspy.teleprompt.gepa.gepa import AUTO_RUN_SETTINGS

    settings = {"metric": _with_feedback(job), "reflection_lm": job.teacher_lm, "num_threads": job.num_threads}
    optimizer = dspy.GEPA(**settings, seed=job.seed, auto="light")
    predictors, n = len(job.student.predictors()), len(job.valset)
    light = optimizer.auto_budget(predictors, AUTO_RUN_SETTINGS["light"]["n"], n)
    # An iteration runs the program six times, asks the teacher once, and is finished when the budget ends in it.
    iteration = 2 * optimizer.reflection_minibatch_size
    fits = (_room(job) - n * predictors) * iteration // (iteration * predictors + 1)
    least = n + iteration
    if fits < least:
        raise _too_dear(job, (least + n) * predictors + 1, "to score the program and one proposal")
    if fits < light:
        optimizer = dspy.GEPA(**settings, seed=job.seed, max_metric_calls=fits)
    return _compiled(job, optimizer, valset=job.valset)


class _InferRules(dspy.InferRules):
    """InferRules without two faults of DSPy 3.4.1."""

    def evaluate_program(self, program: dspy.Module, dataset: list[dspy.Example]) -> float:
        """Score a candidate. Without signatures of its own, it would take over the rules of all later candidates."""
        return float(super().evaluate_program(own_signatures(program), dataset))

    def induce_natural_language_rules(self, predictor: dspy.Predict, trainset: list[dspy.Example]) -> str:
        """Have rules written from as many examples as the teacher's context holds.

        DSPy's own way to leave examples out knows the errors of older versions, and fails an assertion on others.
        """
        fitting = getattr(self, "_fitting", len(trainset))
        try:
            return str(super().induce_natural_language_rules(predictor, trainset[:fitting]))
        except AssertionError as failure:
            cause = failure.__context__ or failure
            if not isinstance(cause, dspy.ContextWindowExceededError):
                raise cause from None
            if fitting == 1:
                raise CannotRun("InferRules: not one training example fits into the teacher's context.") from cause
        self._fitting = min(fitting - 1, int(fitting * FEWER))
        return self.induce_natural_language_rules(predictor, trainset)


def _with_feedback(job: Job) -> Callable[..., dspy.Prediction]:
    """The metric as GEPA wants it: with the right answer in words, what was answered, and the data's explanation."""

    def metric(
        gold: dspy.Example, pred: dspy.Prediction, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> dspy.Prediction:
        score = float(job.metric(gold, pred))
        given, right = (in_words(job.student, gold, answer) for answer in (pred, gold))
        explanation = f"\nExplanation: {text}" if (text := rationale(gold)) else ""
        feedback = f"Score: {score:.2f} of 1.\nGiven answer: {given}\nRight answer: {right}{explanation}"
        return dspy.Prediction(score=score, feedback=feedback)

    return metric


def _bootstrapping(job: Job) -> dict[str, Any]:
    """The settings of optimizers that have demonstrations answered: by the teacher, and by the metric right."""
    return {"metric": job.metric, "metric_threshold": PASSED, "teacher_settings": {"lm": job.teacher_lm}}


def _compiled(job: Job, optimizer: Teleprompter, **changes: Any) -> dspy.Module:
    """The student with the instructions and demonstrations that were found, without the optimizer's logs and models.

    `changes` are of the arguments that all optimizers compile with.
    """
    compiled = optimizer.compile(**{"student": job.student, "trainset": job.trainset, **changes})
    program = job.student.deepcopy()
    for predictor, source in zip(program.predictors(), compiled.predictors(), strict=True):
        predictor.signature, predictor.demos = source.signature, source.demos
    return program


def _room(job: Job) -> int:
    return job.max_lm_calls - job.max_lm_calls // SPARE


def _too_dear(job: Job, calls: int, purpose: str) -> CannotRun:
    needed = -(-calls * SPARE // (SPARE - 1))
    return CannotRun(f"It needs about {needed} model calls {purpose}, and the cap is {job.max_lm_calls}: raise it.")


UNCOMPILED = Optimizer("Uncompiled student", "The program as it comes.", lambda job: job.student.deepcopy())
LABELED_FEW_SHOT = Optimizer(
    "LabeledFewShot",
    "DSPy's default, 16 training examples as demonstrations, without any model; it takes no validation examples.",
    lambda job: _compiled(job, dspy.LabeledFewShot()),
)
BOOTSTRAP_FEW_SHOT = Optimizer(
    "BootstrapFewShot",
    "DSPy's defaults: 4 demonstrations that the teacher answered, scoring at least 0.5, and 12 or more labelled ones, "
    "16 in all; it takes no validation examples.",
    lambda job: _compiled(job, dspy.BootstrapFewShot(**_bootstrapping(job))),
)
BOOTSTRAP_RANDOM_SEARCH = Optimizer(
    "BootstrapFewShot, random search",
    "BootstrapFewShotWithRandomSearch with DSPy's defaults: the best on the validation examples of 19 candidates, 16 "
    "of them drawn, with up to 4 demonstrations that the teacher answered, scoring at least 0.5, and 16 in all.",
    _bootstrap_random_search,
)
MIPRO_ZERO_SHOT = Optimizer(
    "MIPROv2, zero-shot",
    'DSPy\'s default, auto="light", without demonstrations, which its guide recommends for instructions only; the '
    "teacher proposes, and up to 100 validation examples choose.",
    lambda job: _mipro(job, max_bootstrapped_demos=0, max_labeled_demos=0),
)
MIPRO_FEW_SHOT = Optimizer(
    "MIPROv2, few-shot",
    'DSPy\'s defaults, auto="light" with up to 4 demonstrations that the teacher answered, scoring at least 0.5, or 4 '
    "labelled ones; the teacher proposes, and up to 100 validation examples choose.",
    _mipro,
)
COPRO = Optimizer(
    "COPRO",
    "DSPy's defaults: 3 rounds of 10 wordings from the teacher at temperature 1.4, scored on as many training examples "
    "as the cap on calls has room for (20 at least); it takes no validation examples.",
    _copro,
)
INFER_RULES = Optimizer(
    "InferRules",
    "DSPy's defaults, BootstrapFewShot's demonstrations and the best on the validation examples of 10 sets of rules "
    "that the teacher writes from all training examples, fewer where the cap on calls or the teacher's context ends; "
    "two faults of DSPy 3.4.1 are mended, by which it returns the last rules and fails on a full context.",
    _infer_rules,
)
SIMBA = Optimizer(
    "SIMBA",
    "DSPy's defaults: 8 steps (fewer where the cap on calls ends) of 6 candidates on 32 training examples (or all, "
    "where there are fewer), the teacher as prompt model and as one of 6 samplers, pictures in demonstrations uncut; "
    "it takes no validation examples.",
    _simba,
)
GEPA = Optimizer(
    "GEPA",
    'auto="light", which DSPy\'s guide starts with, or what the cap on calls has room for; the teacher reflects, with '
    "pictures, on feedback that has the right answer and the data's explanation, and the validation examples choose.",
    _gepa,
)
