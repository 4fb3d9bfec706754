"""Results as tables for a terminal."""

from collections.abc import Callable, Sequence

from rich.table import Table

from pld_dspy.experiment import BeforeAfter, Scores, Summary
from pld_dspy.plan import Plan
from pld_dspy.usage import Usage

SIMULATED = "Simulated models: these figures show that the machinery works, never that distillation does."


def summary_table(summaries: Sequence[Summary]) -> Table:
    """Compiles side by side, a column each: scores before and after, and what they took."""
    simulated = any(name.startswith("rehearsal") for summary in summaries for name in summary.models.values())
    table = Table(title="Before and after", caption=SIMULATED if simulated else None)
    table.add_column("")
    for summary in summaries:
        table.add_column(summary.program, justify="right", overflow="fold")
    rows = {
        "test score": [_change(summary.score, percent) for summary in summaries],
        "test questions": [str(summary.n["test"]) for summary in summaries],
        "validation score": [_validation(summary.validation) for summary in summaries],
        "rules in the prompt": [str(summary.rules) for summary in summaries],
        "input tokens a question": [_change(summary.prompt_tokens, _count) for summary in summaries],
        "teacher's calls": [str(summary.usage["teacher"].calls) for summary in summaries],
        "student's calls": [str(summary.usage["student"].calls) for summary in summaries],
        "cost": [_cost(summary.usage["teacher"], summary.usage["student"]) for summary in summaries],
        "seconds": [f"{summary.seconds:.0f}" for summary in summaries],
        "written to": [summary.log_dir for summary in summaries],
    }
    for label, cells in rows.items():
        table.add_row(label, *cells)
    return table


def plan_table(plan: Plan) -> Table:
    """What a compile takes at most."""
    table = Table("", "calls", "tokens in", "tokens out", "US$", title="At most", title_justify="left")
    for role in ("teacher", "student"):
        usage: Usage = getattr(plan, role)
        table.add_row(
            role, f"{usage.calls:,}", f"{usage.prompt_tokens:,}", f"{usage.completion_tokens:,}", _cost(usage)
        )
    return table


def score_table(scores: Scores) -> Table:
    """One program's score."""
    caption = SIMULATED if scores.model.startswith("rehearsal") else None
    table = Table("questions", "score", "without a readable answer", "input tokens a question", caption=caption)
    table.add_row(str(scores.n), percent(scores.score), str(scores.errors), _count(scores.prompt_tokens))
    return table


def percent(fraction: float | None) -> str:
    """A fraction as a person reads it."""
    return "–" if fraction is None else f"{100 * fraction:.1f}%"


def _count(number: float | None) -> str:
    return "cached" if number is None else f"{number:,.0f}"


def _change(of: BeforeAfter, show: Callable[[float | None], str]) -> str:
    return f"{show(of.baseline)} → {show(of.compiled)}"


def _validation(scores: dict[str, float]) -> str:
    return " → ".join(percent(scores[stage]) for stage in ("student", "clustered", "compiled") if stage in scores)


def _cost(*usages: Usage) -> str:
    total = sum(usages, start=Usage(cost_usd=0.0)).cost_usd
    return "no price known" if total is None else f"{total:,.2f}"
