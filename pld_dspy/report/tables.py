"""Results as tables for a terminal."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from textwrap import shorten

from rich.box import SIMPLE
from rich.console import Group
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from pld_dspy.experiment import BeforeAfter, Summary
from pld_dspy.experiment.doctor import Finding
from pld_dspy.experiment.plan import Plan
from pld_dspy.experiment.scoring import Scores
from pld_dspy.metrics.breakdown import Breakdown
from pld_dspy.metrics.circular import Circular
from pld_dspy.models import simulated
from pld_dspy.run import Usage
from pld_dspy.statistics import percent
from pld_dspy.student.coverage import Coverage, Share, shortened

SIMULATED = "Simulated models: these figures show that the machinery works, never that distillation does."


def notice(models: Iterable[str]) -> str:
    """What has to be said of figures where one of the models is simulated; else ""."""
    return SIMULATED if any(map(simulated, models)) else ""


_hundredths = partial(percent, sign="")


def cost(*usages: Usage) -> str:
    """US dollars as a person reads them."""
    total = sum(usages, start=Usage(cost_usd=0.0)).cost_usd
    return "no price known" if total is None else f"{total:,.2f}"


def summary_table(summaries: Sequence[Summary]) -> Table:
    """Compiles side by side, a column each: scores before and after, and what they took."""
    models = [name for summary in summaries for name in summary.models.values()]
    columns = [Column(summary.program, justify="right", overflow="fold") for summary in summaries]
    table = Table("", *columns, title="Before and after", caption=notice(models) or None)
    rows: dict[str, Callable[[Summary], str]] = {
        "test score": lambda summary: _change(summary.score, percent),
        "test questions": lambda summary: str(summary.n["test"]),
        "validation score": lambda summary: " → ".join(map(percent, summary.validation.values())),
        "rules in the prompt": lambda summary: str(summary.rules),
        "input tokens a question": lambda summary: _change(summary.prompt_tokens, _count),
        "teacher's calls": lambda summary: str(summary.usage["teacher"].calls),
        "student's calls": lambda summary: str(summary.usage["student"].calls),
        "without a reply": lambda summary: _failures(summary, "no reply"),
        "replies of no use": lambda summary: _failures(summary, "no use"),
        "cost": lambda summary: cost(summary.usage["teacher"], summary.usage["student"]),
        "seconds": lambda summary: f"{summary.seconds:.0f}",
        "written to": lambda summary: escape(summary.log_dir),
    }
    for label, cell in rows.items():
        table.add_row(label, *map(cell, summaries))
    return table


def findings_text(findings: Sequence[Finding]) -> Text:
    """Whether the models answer, each with its reply or what is wrong."""
    text = Text()
    for finding in findings:
        text.append(f"{finding.role}: {finding.model}\n", "bold")
        said = shorten(finding.reply, 200, placeholder="…")
        text.append(f"  cannot be used: {finding.problem}\n" if finding.problem else f"  answers: {said}\n")
    return text


def plan_table(plan: Plan) -> Table:
    """What a compile takes at most."""
    table = Table("", "calls", "tokens in", "tokens out", "US$", title="About, at most", title_justify="left")
    for role, usage in plan:
        if usage is not None:
            counts = (usage.calls, usage.prompt_tokens, usage.completion_tokens)
            table.add_row(role, *(f"{count:,}" for count in counts), cost(usage))
    return table


def score_table(scores: Scores) -> Group:
    """One student's score, by the benchmark's groups where it has some."""
    remarks = ["In percent", f"{scores.errors} whose reply was of no use"]
    if unanswered := sum(failures.n for failures in scores.failures if failures.kind == "no reply"):
        remarks.append(f"{unanswered} without a reply are left out")
    if scores.prompt_tokens:
        remarks.append(f"{_count(scores.prompt_tokens)} input tokens a question")
    if scores.skipped:
        remarks.append(f"{scores.skipped} left out for a bad image")
    if scores.circular:
        remarks.append(_places(scores.circular))
    if scores.judge:
        remarks.append(f"L3Score by {scores.judge}")
    if scores.breakdown:
        remarks += [f"{name} {_hundredths(value)}" for name, value in scores.breakdown.overall.items()]
        table = _breakdown_table(scores.breakdown)
    else:
        table = Table("n", "score")
        table.add_row(str(scores.n), _hundredths(scores.score))
    title = f"{scores.program}, {scores.split}, {scores.modality}: {scores.model}"
    remark = f"{'; '.join(remarks)}. {notice([scores.model])}".rstrip()
    return Group(Text(title, "bold"), table, Text(remark))


def compile_tables(summary: Summary) -> Group:
    """One compile: scores before and after, what it took, and what the rules cover."""
    return Group(summary_table([summary]), Text(f"{summary.returned}\n"), coverage_table(summary.coverage))


def coverage_table(coverage: Coverage) -> Table:
    """How many training examples the rules in the prompt come from, by the strata of the program."""

    def row(name: str | Text, share: Share) -> None:
        table.add_row(name, f"{share.n:,}", f"{share.covered:,}", percent(share.fraction))

    columns = [Column(heading, justify="right", no_wrap=True) for heading in ("examples", "covered", "")]
    title = "Training examples that the rules cover"
    table = Table(Column("", overflow="fold"), *columns, title=title, title_justify="left")
    for field, groups in coverage.groups.items():
        table.add_row(Text(shorten(field, 60, placeholder="…"), "bold"))
        for value, share in shortened(groups):
            row(Text(shorten(value, 120, placeholder="…")), share)
        table.add_section()
    row("all", coverage)
    return table


def _breakdown_table(breakdown: Breakdown) -> Table:
    *groups, everything = breakdown.groups
    columns = [Column("", no_wrap=True), *(Column(name, justify="right") for name in ("n", *everything.scores))]
    table = Table(*columns, box=SIMPLE, padding=(0, 1, 0, 0))  # so that seven measures fit into 80 columns
    for group in groups:
        table.add_row(group.name, str(group.n), *(_hundredths(group.scores.get(name)) for name in everything.scores))
    table.add_section()
    table.add_row(everything.name, str(everything.n), *map(_hundredths, everything.scores.values()))
    bounds = [breakdown.intervals.get(measure, (None, None)) for measure in everything.scores]
    cells = ["–" if low is None else f"{_hundredths(low)}–\n{_hundredths(high)}" for low, high in bounds]
    table.add_row("95% interval", "", *cells)
    return table


def _places(circular: Circular) -> str:
    right = f"{_hundredths(circular.all_right)} of {circular.questions} questions right in all rotations"
    places = ", ".join(f"{place} {n} ({circular.right.get(place, 0)})" for place, n in circular.answered.items())
    return f"{right}; answers by place (right ones): {places}"


def _failures(summary: Summary, kind: str) -> str:
    found = [failures for failures in summary.failures if failures.kind == kind]
    by_role = Counter(dict.fromkeys(dict.fromkeys(failures.role for failures in found), 0))
    for failures in found:
        by_role[failures.role] += failures.n
    return ", ".join(f"{n} of the {role}'s" for role, n in by_role.items()) or "none"


def _count(number: float | None) -> str:
    return "cached" if number is None else f"{number:,.0f}"


def _change(figure: BeforeAfter, show: Callable[[float | None], str]) -> str:
    return f"{show(figure.baseline)} → {show(figure.compiled)}"
