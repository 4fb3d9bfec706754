"""What a compile will take at most, before it is started."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import dspy
from pydantic import BaseModel

from pld_dspy.examples import labelled_predictors
from pld_dspy.experiment.tasks import Task
from pld_dspy.extraction import ATTEMPTS, Source, sources_of
from pld_dspy.extraction.lessons import lesson
from pld_dspy.resolution import Resolution, gate_of
from pld_dspy.run import Budget, Usage, count_tokens, price
from pld_dspy.teacher import Teacher

UNION_TOKENS = 1_000  # that the teacher reads for a union
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

    def usage(self) -> Usage:
        """What describing would take."""
        calls = len(self._figures)
        return _usage(self.model, calls, calls * (TOKENS_PER_IMAGE + 300), 2 * DESCRIPTION_WORDS)


def plan(
    task: Task,
    models: Mapping[str, str],
    max_rule_tokens: int,
    budget: Budget,
    how: Resolution,
    sources: Sequence[str | Source] = ("examples",),
    describer: StandIn | None = None,
) -> Plan:
    """Reckon the calls and tokens of `compile_and_score` without a call.

    Every micro-rule is taken to need uniting with another one, every diagnosed question to be answered wrongly, and
    each reply of the teacher to propose two edits that go as far as the whole validation set, so a real compile mostly
    stays below. Under a cap on the calls neither role has more of them, but for the test.

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
    student, examples = task.program, task.examples
    n = {split: len(part) for split, part in examples.items()}
    predictors = student.named_predictors()
    limits = budget.limits(n["train"], n["val"], len(predictors))
    asking = [source for source in sources_of(sources) if source.asks] if models["teacher"] else []
    learners = labelled_predictors(student, examples["train"])
    traced = len(predictors) > 1 and any(source.traces for source in asking)
    learning = len(predictors) if traced else len(learners)  # traces teach predictors without labels, too
    questions = _Lengths.measured(student, examples["train"][:MEASURED], list(learners), models)

    rounds = limits.max_iterations if models["teacher"] else 0
    diagnosed = min(how.diagnosed, n["train"])
    # contradictions and compression are two more replies
    replies = rounds * learning * (math.ceil(diagnosed / how.failures_per_call) + 2)
    extractions = ATTEMPTS * n["train"] * learning if asking else 0
    traces = n["train"] * len(predictors) if traced else 0
    unions = limits.num_candidates * (n["train"] * learning // 2) if models["teacher"] else 0
    looked_at = rounds * diagnosed * (1 + how.ask_rule)
    tried = _gate_calls(how, replies, n["val"], learning, max_rule_tokens)
    untested = ((1 + limits.num_candidates) * n["val"] + looked_at + tried) * len(predictors)
    asked = extractions + unions + replies + traces

    cap = limits.max_lm_calls
    share, share_asked = (1.0 if not cap else min(1.0, cap / max(part, 1)) for part in (untested, asked))
    student_calls = round(share * untested) + 2 * n["test"] * len(predictors)
    ruled = student_calls - round(share * n["val"] + n["test"]) * len(predictors)
    shown = how.failures_per_call + how.successes_per_call
    read = extractions * questions.lesson + unions * UNION_TOKENS + traces * questions.question
    read += replies * (REPAIR_TOKENS + max_rule_tokens + shown * questions.question)
    reasons = any("reasoning" in predictor.signature.output_fields for _, predictor in predictors)
    return Plan(
        teacher=_usage(models["teacher"], round(share_asked * asked), share_asked * read, TEACHER_WRITES),
        student=_usage(
            models["student"],
            student_calls,
            student_calls * questions.question + ruled * max_rule_tokens,
            REASONER_WRITES if reasons else STUDENT_WRITES,
        ),
        describer=describer.usage() if describer else None,
    )


class _Lengths(NamedTuple):
    """Tokens of prompts, means."""

    lesson: float  # to the teacher
    question: float  # to all predictors of the student, without rules

    @classmethod
    def measured(
        cls, student: dspy.Module, examples: Sequence[dspy.Example], learners: Sequence[str], models: Mapping[str, str]
    ) -> "_Lengths":
        """Count some prompts; the others are taken to be like them."""

        def tokens(role: str, predictor: dspy.Predict, inputs: dict) -> int:
            messages = dspy.ChatAdapter().format(predictor.signature, predictor.demos, inputs)
            parts = [part for message in messages for part in _parts(message["content"])]
            text = "".join(part["text"] for part in parts if part["type"] == "text")
            pictures = sum(part["type"] != "text" for part in parts)
            return count_tokens(models[role] or models["student"], text) + TOKENS_PER_IMAGE * pictures

        teacher = Teacher()
        lessons = [made for name in learners for example in examples if (made := lesson(student, name, example))]
        question = 0.0
        for _, predictor in student.named_predictors():
            fields = predictor.signature.input_fields
            inputs = [{field: example.get(field) for field in fields} for example in examples]
            question += statistics.fmean(tokens("student", predictor, given) for given in inputs)
        asked = [{**made._asdict(), "example": made.text} for made in lessons]
        return cls(statistics.fmean(tokens("teacher", teacher.extract, given) for given in asked), question)


def _gate_calls(how: Resolution, replies: int, n_val: int, learning: int, max_rule_tokens: int) -> float:
    """Questions that the gate asks the student, and those by which the use of rules is measured."""
    if not gate_of(how.gate).validates:
        return n_val
    tried = replies * EDITS * (2 * how.failures_per_call + n_val)
    held = max(max_rule_tokens / RULE_TOKENS, 1)  # rules; use is measured of up to twice as many, then of these
    used = learning * n_val * (8 + 2 * math.log2(2 * held) + 2 * math.log2(held)) if how.prune else 0.0
    return tried + used


def _usage(model: str, calls: int, prompt_tokens: float, written: int) -> Usage:
    read, wrote = round(prompt_tokens), calls * written
    cost = price(model, read, wrote, calls) if calls else 0.0
    return Usage(calls=calls, prompt_tokens=read, completion_tokens=wrote, cost_usd=cost)


def _parts(content: str | list[dict]) -> list[dict]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
