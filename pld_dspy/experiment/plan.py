"""What a compile will take at most, before it is started."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import dspy
from pydantic import BaseModel

from pld_dspy.examples import labelled_predictors
from pld_dspy.extraction.lessons import ATTEMPTS, lesson
from pld_dspy.resolution.loop import Resolution
from pld_dspy.run.budgets import Budget
from pld_dspy.run.usage import Usage, count_tokens, price
from pld_dspy.teacher import Teacher

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
    student: dspy.Module,
    examples: Mapping[str, Sequence[dspy.Example]],
    models: Mapping[str, str],
    max_rule_tokens: int,
    allowed: Budget,
    how: Resolution,
    extraction: str = "examples",
    describer: StandIn | None = None,
) -> Plan:
    """Reckon the calls and tokens of `experiment.compile_and_score` without a call.

    Every micro-rule is taken to need uniting with another one, every diagnosed question to be answered wrongly, and
    each reply of the teacher to propose two edits that go as far as the whole validation set, so a real compile mostly
    stays below. Under a cap on the calls neither role has more of them, but for the test.

    Args:
        student: the program.
        examples: by split.
        models: name by role, for tokenizer and price.
        max_rule_tokens: the teleprompter's.
        allowed: rounds, candidates and caps.
        how: what the rounds do.
        extraction: the teleprompter's; with "rationales" and "none" phase 1 calls no model.
        describer: what the examples were loaded with, if figures are to be described.

    Raises:
        PLDError: the examples have no labels.
    """
    outputs = labelled_predictors(student, examples["train"])
    n = {split: len(part) for split, part in examples.items()}
    teacher, predictors = Teacher(), dict(student.named_predictors())

    def tokens(role: str, predictor: dspy.Predict, inputs: dict) -> int:
        messages = dspy.ChatAdapter().format(predictor.signature, predictor.demos, inputs)
        parts = [part for message in messages for part in _parts(message["content"])]
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        pictures = sum(part["type"] != "text" for part in parts)
        return count_tokens(models[role] or models["student"], text) + TOKENS_PER_IMAGE * pictures

    shown = how.failures_per_call + how.successes_per_call
    measured = examples["train"][:MEASURED]
    every = (lesson(student, name, example) for name in outputs for example in measured)
    lessons = [each for each in every if each is not None]
    extraction_tokens = _mean(
        tokens("teacher", teacher.extract, {**of._asdict(), "example": of.text, "figures": of.figures})
        for of in lessons
    )
    question = sum(
        _mean(
            tokens("student", of, {key: example.get(key) for key in of.signature.input_fields}) for example in measured
        )
        for of in predictors.values()
    )
    taught, traces = bool(models["teacher"]), len(predictors) > 1 and extraction == "examples"
    p = len(predictors) if taught and traces else len(outputs)  # traces teach predictors without labels, too
    rounds = allowed.max_iterations if taught else 0
    diagnosed = min(how.diagnosed, n["train"])
    replies = rounds * p * (math.ceil(diagnosed / how.failures_per_call) + 2)  # contradictions and compression are two
    extractions = ATTEMPTS * n["train"] * p if taught and extraction not in ("rationales", "none") else 0
    traced = n["train"] * len(predictors) if taught and traces else 0
    unions = allowed.num_candidates * (n["train"] * p // 2) if taught else 0
    tried, used = replies * EDITS * (2 * how.failures_per_call + n["val"]), 0.0
    if how.gate == "off":
        tried = n["val"]
    elif how.prune:
        held = max(max_rule_tokens / RULE_TOKENS, 1)  # rules; use is measured of up to twice as many, then of these
        used = p * n["val"] * (8 + 2 * math.log2(2 * held) + 2 * math.log2(held))
    looked_at = rounds * diagnosed * (1 + how.ask_rule)
    untested = (n["val"] + allowed.num_candidates * n["val"] + looked_at + tried + used) * len(predictors)
    asked = extractions + unions + replies + traced
    cap = allowed.max_lm_calls
    share, share_asked = (1.0 if not cap else min(1.0, cap / max(part, 1)) for part in (untested, asked))
    student_calls = round(share * untested) + 2 * n["test"] * len(predictors)
    ruled = student_calls - round(share * n["val"] + n["test"]) * len(predictors)
    return Plan(
        teacher=_usage(
            models["teacher"],
            round(share_asked * asked),
            share_asked
            * (
                extractions * extraction_tokens
                + unions * 1_000
                + replies * (2_000 + max_rule_tokens + shown * question)
                + traced * question
            ),
            TEACHER_WRITES,
        ),
        student=_usage(
            models["student"],
            student_calls,
            student_calls * question + ruled * max_rule_tokens,
            REASONER_WRITES
            if any("reasoning" in of.signature.output_fields for of in predictors.values())
            else STUDENT_WRITES,
        ),
        describer=describer.usage() if describer else None,
    )


def _usage(model: str, calls: int, prompt_tokens: float, written: int) -> Usage:
    read, wrote = round(prompt_tokens), calls * written
    cost = price(model, read, wrote, calls) if calls else 0.0
    return Usage(calls=calls, prompt_tokens=read, completion_tokens=wrote, cost_usd=cost)


def _parts(content: str | list[dict]) -> list[dict]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _mean(values: Iterable[int]) -> float:
    return statistics.fmean(values)
