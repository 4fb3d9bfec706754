"""Results as tables for a terminal."""

from collections.abc import Callable, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pld_dspy.models import simulated
from pld_dspy.run import Usage
from pld_dspy.student.coverage import Coverage, Share, shortened

if TYPE_CHECKING:  # a compile's own report needs this module too
    from pld_dspy.experiment import BeforeAfter, Summary
    from pld_dspy.experiment.plan import Plan
    from pld_dspy.experiment.scoring import Scores
    from pld_dspy.metrics.breakdown import Breakdown

SIMULATED = "Simulated models: these figures show that the machinery works, never that distillation does."


def summary_table(summaries: "Sequence[Summary]") -> Table:
    """Compiles side by side, a column each: scores before and after, and what they took."""
    rehearsed = any(simulated(name) for summary in summaries for name in summary.models.values())
    table = Table(title="Before and after", caption=SIMULATED if rehearsed else None)
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
        "cost": [cost(summary.usage["teacher"], summary.usage["student"]) for summary in summaries],
        "seconds": [f"{summary.seconds:.0f}" for summary in summaries],
        "written to": [escape(summary.log_dir) for summary in summaries],
    }
    for label, cells in rows.items():
        table.add_row(label, *cells)
    return table


def plan_table(plan: "Plan") -> Table:
    """What a compile takes at most."""
    table = Table("", "calls", "tokens in", "tokens out", "US$", title="About, at most", title_justify="left")
    for role, usage in plan:
        if usage is None:
            continue
        table.add_row(role, f"{usage.calls:,}", f"{usage.prompt_tokens:,}", f"{usage.completion_tokens:,}", cost(usage))
    return table


def score_table(scores: "Scores") -> Group:
    """One student's score, by the benchmark's groups where it has some."""
    said = [
        "In percent",
        f"{scores.errors} without a reply that could be read",
        *([f"{_count(scores.prompt_tokens)} input tokens a question"] if scores.prompt_tokens else []),
        *([f"{scores.skipped} left out for a bad image"] if scores.skipped else []),
        *([f"L3Score by {scores.judge}"] if scores.judge else []),
    ]
    if scores.breakdown:
        said += [f"{name} {_hundredths(value)}" for name, value in scores.breakdown.overall.items()]
    table = _breakdown_table(scores.breakdown) if scores.breakdown else Table("n", "score")
    if not scores.breakdown:
        table.add_row(str(scores.n), _hundredths(scores.score))
    notice = f" {SIMULATED}" if simulated(scores.model) else ""
    title = f"{scores.program}, {scores.split}, {scores.modality}: {scores.model}"
    return Group(Text(title, "bold"), table, Text(f"{'; '.join(said)}.{notice}"))


def compile_tables(summary: "Summary") -> Group:
    """One compile: scores before and after, what it took, and what the rules cover."""
    return Group(summary_table([summary]), Text(f"{summary.returned}\n"), coverage_table(summary.coverage))


def coverage_table(coverage: Coverage) -> Table:
    """How many training examples the rules in the prompt come from, by the strata of the program."""
    table = Table(title="Training examples that the rules cover", title_justify="left")
    table.add_column("", overflow="fold")
    for heading in ("examples", "covered", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for field, groups in coverage.groups.items():
        table.add_row(Text(shorten(field, 60, placeholder="…"), "bold"))
        for value, share in shortened(groups):
            table.add_row(Text(shorten(value, 120, placeholder="…")), *_shares(share))
        table.add_section()
    table.add_row("all", *_shares(coverage))
    return table


def _shares(share: Share) -> tuple[str, str, str]:
    return f"{share.n:,}", f"{share.covered:,}", percent(share.fraction)


def _breakdown_table(breakdown: "Breakdown") -> Table:
    *groups, everything = breakdown.groups
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))  # so that seven measures fit into 80 columns
    table.add_column("", no_wrap=True)
    table.add_column("n", justify="right")
    for measure in everything.scores:
        table.add_column(measure, justify="right")
    for group in groups:
        table.add_row(group.name, str(group.n), *(_hundredths(group.scores.get(name)) for name in everything.scores))
    table.add_section()
    table.add_row(everything.name, str(everything.n), *map(_hundredths, everything.scores.values()))
    bounds = [breakdown.intervals.get(measure, (None, None)) for measure in everything.scores]
    cells = ["–" if low is None else f"{_hundredths(low)}–\n{_hundredths(high)}" for low, high in bounds]
    table.add_row("95% interval", "", *cells)
    return table


def percent(fraction: float | None) -> str:
    """A fraction as a person reads it."""
    return "–" if fraction is None else f"{100 * fraction:.1f}%"


def _hundredths(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def _count(number: float | None) -> str:
    return "cached" if number is None else f"{number:,.0f}"


def _change(of: "BeforeAfter", show: Callable[[float | None], str]) -> str:
    return f"{show(of.baseline)} → {show(of.compiled)}"


def _validation(scores: dict[str, float]) -> str:
    return " → ".join(percent(scores[stage]) for stage in ("student", "clustered", "compiled") if stage in scores)


def cost(*usages: Usage) -> str:
    """US dollars as a person reads them."""
    total = sum(usages, start=Usage(cost_usd=0.0)).cost_usd
    return "no price known" if total is None else f"{total:,.2f}"
