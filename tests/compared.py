"""A comparison with invented figures."""

from pld_dspy.optimizers.report import Contrast, Reply
from pld_dspy.optimizers.results import (
    Comparison,
    GroupScore,
    PairedTest,
    PerQuestion,
    PredictorPrompt,
    ProgramPrompts,
    Result,
    RoleUsage,
    Row,
)

PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
NOTHING = {role: RoleUsage(cost_usd=0.0) for role in ("teacher", "student")}
REASON = "It embeds text, and these questions have pictures."


def result(optimizer="pld", seed=0, score=0.7, **changes):
    asked = RoleUsage(calls=100 * (seed + 1), prompt_tokens=30_000, completion_tokens=2_000, cost_usd=0.5, seconds=61)
    question = PerQuestion(
        calls=1, prompt_tokens=1234, completion_tokens=56, images=0.5, seconds=1.25, cost_usd=0.00012345, cacheable=0.8
    )
    fields = {
        "optimizer": optimizer,
        "title": optimizer,
        "num_threads": 16,
        "seed": seed,
        "score": score,
        "n": 200,
        "errors": 0,
        "settings": "s",
        "program": "p",
        "capped": False,
        "compile": {"teacher": asked, "student": asked.model_copy(update={"calls": 1000})},
        "seconds": 90,
        "question": question,
        "groups": {"NAT": GroupScore(n=120, score=score), "SOC": GroupScore(n=80, score=score - 0.1)},
    }
    return Result(**{**fields, **changes})


def compared(difference=0.1, low=0.02, high=0.18, p_holm=0.0312):
    return PairedTest(difference=difference, low=low, high=high, better=31, worse=11, p_value=0.01, p_holm=p_holm)


def row(optimizer="pld", title="PLD", score=0.7, seeds=(0,), **changes):
    results = [result(optimizer, seed, score + 0.01 * seed) for seed in seeds]
    fields = {"settings": f"The settings of {title}.", "results": results, "low": score - 0.06, "high": score + 0.06}
    return Row(**{"optimizer": optimizer, "title": title, "score": score, **fields, **changes})


def uncompiled(**changes):
    cheap = PerQuestion(
        calls=1, prompt_tokens=200, completion_tokens=50, images=0.5, seconds=1, cost_usd=0.00002, cacheable=0.1
    )
    results = [result("uncompiled", 0, 0.6, compile=NOTHING, seconds=0, question=cheap)]
    fields = {"on_front": True, "results": results, "vs_method": compared(-0.1, -0.18, -0.02)}
    return row("uncompiled", "Uncompiled", 0.6, **{**fields, **changes})


def cannot_run():
    return Row(optimizer="knn", title="KNNFewShot", settings="k = 3", why_not=REASON, results=[])


def comparison(*rows, **changes):
    gepa = row("gepa", "GEPA", 0.62, vs_baseline=compared(0.02, -0.05, 0.09, 0.6), vs_method=compared(-0.08, -0.16, 0))
    fields = {
        "program": "scienceqa",
        "data": "sample",
        "modality": "image",
        "models": {"teacher": "openai/large", "student": "openai/small"},
        "n": {"train": 100, "val": 50, "test": 200},
        "seeds": [0],
        "num_threads": [16],
        "max_lm_calls": 5000,
        "rows": list(rows) or [uncompiled(), row(vs_baseline=compared(), on_front=True), gepa, cannot_run()],
    }
    return Comparison(**{**fields, **changes})


def many(seeds=(0, 1, 2)):
    """As large as a comparison gets."""
    others = [
        row(f"o{number}", f"Optimizer number {number}", 0.55 + 0.02 * (number * 7 % 11), seeds, vs_baseline=compared())
        for number in range(12)
    ]
    return comparison(uncompiled(), *others, seeds=list(seeds))


def contrast(**changes):
    replies = [
        Reply(score=0, answer="(B) Louisiana", optimizers=["Uncompiled"]),
        Reply(score=1, answer="(A) West Virginia", optimizers=["PLD"]),
        Reply(score=0.4, answer="(A) or (B)", optimizers=["GEPA"]),
    ]
    fields = {
        "example": "17",
        "question": "Which is farthest north?",
        "given": {"choices": "West Virginia; Louisiana"},
        "gold": "(A) West Virginia",
        "pictures": [PNG],
    }
    return Contrast(**{**fields, "replies": replies, **changes})


def prompts(**changes):
    prompt = PredictorPrompt(
        predictor="answer",
        instructions="Answer with one letter.\n\n1. If a map is shown:\n\tfind north.",
        demonstrations=["Question: why?\nAnswer: C", "Question: how?"],
        images=3,
    )
    return ProgramPrompts(**{"optimizer": "pld", "seed": 0, "prompts": [prompt], **changes})
