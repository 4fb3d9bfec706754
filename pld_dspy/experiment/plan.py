"""What a compile will take at most, before it is started."""

import math
from collections.abc import Mapping, Sequence
from itertools import product

import dspy
from pydantic import BaseModel

from pld_dspy.examples import labelled_predictors
from pld_dspy.experiment.compiling import Task
from pld_dspy.extraction import ATTEMPTS, Source, sources_of
from pld_dspy.resolution import Resolution, gate_of
from pld_dspy.run import Budget, Usage, count_tokens, price

LESSON_TOKENS = 1_500  # that the teacher reads for a micro-rule, besides the question
UNION_TOKENS = 1_000  # for a union
REPAIR_TOKENS = 2_000  # and for a repair, besides rules and questions
TEACHER_WRITES = 250  # tokens of a reply, by which the plan reckons
STUDENT_WRITES = 20
REASONER_WRITES = 300
DESCRIPTION_WORDS = 150  # that a describer is asked not to exceed
TOKENS_PER_IMAGE = 1_000  # about what current models charge for a figure of a thousand pixels
EDITS = 2  # that a reply is taken to propose
RULE_TOKENS = 40  # of a rule, about
MEASURED = 30  # examples whose prompts are counted; the others are taken to be like them


class Plan(BaseModel):
    """Upper bounds, by role."""

    teacher: Usage
    student: Usage
    describer: Usage | None = None


class StandIn:
    """Takes the place of a describer in a dry run: counts the figures, and says as much as a model would."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._figures: set[str] = set()

    def __call__(self, figures: Sequence[dspy.Image]) -> list[str]:
        """A text of the longest description's length for each figure."""
        self._figures |= {figure.url for figure in figures}
        return [" ".join(["word"] * DESCRIPTION_WORDS)] * len(figures)

    def usage(self) -> Usage | None:
        """What describing would take; None where there are no figures to describe."""
        calls, each = len(self._figures), TOKENS_PER_IMAGE + 300
        return _usage(self.model, calls, calls * each, 2 * DESCRIPTION_WORDS) if calls else None


def plan(
    task: Task, models: Mapping[str, str], max_rule_tokens: int, budget: Budget, how: Resolution,
    sources: Sequence[str | Source] = ("examples",), describer: StandIn | None = None,
) -> Plan:  # fmt: skip
    """Reckon the calls and tokens of `compile_and_score` without a call.

    Every micro-rule is taken to need uniting with another one, every diagnosed question to be answered wrongly, and
    each reply of the teacher to propose two edits that go as far as the whole validation set, and each question to be
    asked with as many rules as fit, so a real compile mostly stays below. Under a cap on the calls neither role has
    more of them, but for the test.

    Args:
        task: program and examples.
        models: name by role, for tokenizer and price; no name for a teacher without a model.
        max_rule_tokens: the teleprompter's.
        budget: rounds, candidates and caps.
        how: what the rounds do.
        sources: where rules come from.
        describer: what the examples were loaded with, if figures are to be described.

    Raises:
        PLDError: the examples have no labels.
    """
    n_train, n_val, n_test = (len(task.examples[split]) for split in ("train", "val", "test"))
    predictors, learners = task.program.predictors(), labelled_predictors(task.program, task.examples["train"])
    limits = budget.limits(n_train, n_val, len(predictors))
    cap = limits.max_lm_calls or math.inf
    asking = [source for source in sources_of(sources) if source.asks] if models["teacher"] else []
    traced = len(predictors) > 1 and any(source.traces for source in asking)
    learning = len(predictors) if traced else len(learners)  # traces teach predictors without labels, too
    rounds, candidates = (limits.max_iterations, limits.num_candidates) if models["teacher"] else (0, 0)
    diagnosed = min(how.diagnosed, n_train)
    # contradictions and compression are two more replies
    replies = rounds * learning * (math.ceil(diagnosed / how.failures_per_call) + 2)

    question = _question_tokens(task.program, task.examples["train"][:MEASURED], models["student"])
    work = [  # calls of the teacher, and the tokens that it reads in one
        (ATTEMPTS * n_train * learning if asking else 0, LESSON_TOKENS + question),
        (n_train * len(predictors) if traced else 0, question),
        (candidates * (n_train * learning // 2), UNION_TOKENS),
        (replies, REPAIR_TOKENS + max_rule_tokens + (how.failures_per_call + how.successes_per_call) * question),
    ]
    teacher_calls = sum(calls for calls, _ in work)
    teacher_reads = sum(calls * tokens for calls, tokens in work) * min(1, cap / max(teacher_calls, 1))

    questions = (1 + limits.num_candidates) * n_val + rounds * diagnosed * (2 if how.ask_rule else 1)
    questions += _gate_questions(how, replies, n_val, learning, max_rule_tokens)
    student_calls = min(questions * len(predictors), cap) + 2 * n_test * len(predictors)
    student_reads = student_calls * (question + max_rule_tokens)
    reasons = any("reasoning" in predictor.signature.output_fields for predictor in predictors)
    return Plan(
        teacher=_usage(models["teacher"], min(teacher_calls, cap), teacher_reads, TEACHER_WRITES),
        student=_usage(models["student"], student_calls, student_reads, REASONER_WRITES if reasons else STUDENT_WRITES),
        describer=describer.usage() if describer else None,
    )


def _question_tokens(student: dspy.Module, examples: Sequence[dspy.Example], model: str) -> float:
    """Tokens that all predictors of the student read for a question, without rules; a mean."""
    total = 0
    for predictor, example in product(student.predictors(), examples):
        inputs = {name: example.get(name) for name in predictor.signature.input_fields}
        for message in dspy.ChatAdapter().format(predictor.signature, predictor.demos, inputs):
            content = message["content"]
            for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                total += count_tokens(model, part["text"]) if part["type"] == "text" else TOKENS_PER_IMAGE
    return total / len(examples)


def _gate_questions(how: Resolution, replies: int, n_val: int, learning: int, max_rule_tokens: int) -> int:
    """Questions that the gate asks the student, and those by which the use of rules is measured."""
    if not gate_of(how.gate).validates:
        return n_val
    tried = replies * EDITS * (2 * how.failures_per_call + n_val)
    held = max(max_rule_tokens / RULE_TOKENS, 1)  # rules; use is measured of up to twice as many, then of these
    used = learning * n_val * (10 + 4 * math.ceil(math.log2(held))) if how.prune else 0
    return tried + used


def _usage(model: str, calls: float, prompt_tokens: float, written: int) -> Usage:
    calls, read = round(calls), round(prompt_tokens)
    cost = price(model, read, calls * written, calls) if calls else 0.0
    return Usage(calls=calls, prompt_tokens=read, completion_tokens=calls * written, cost_usd=cost)
