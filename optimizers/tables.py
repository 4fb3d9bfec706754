"""A comparison in words and as a table for a terminal."""

from collections.abc import Sequence
from math import floor, log10

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pld_dspy.models import simulated
from pld_dspy.optimizers.registry import BASELINE
from pld_dspy.optimizers.results import Comparison, PairedTest, Row
from pld_dspy.report.page import short
from pld_dspy.report.tables import SIMULATED, cost
from pld_dspy.statistics import SIGNIFICANT, percent

UNITS = "Scores in percent. Differences in points, with p of no difference, Holm-corrected. Tokens are input tokens."
RULES_ONLY = (
    "The simulated student follows rules and learns nothing from demonstrations, and the simulated teacher writes rules"
    " for PLD's own prompts only: the other optimizers cannot win here."
)


def comparison_table(comparison: Comparison) -> Group:
    """A row for each optimizer, in 80 columns, and below it what there is to say about them."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", overflow="fold")
    for heading in ("score (95%)", "to uncompiled", "tokens a\nquestion", "compile\ncalls"):
        table.add_column(heading, justify="right", no_wrap=True)
    notes, caps = [UNITS], []
    for row in comparison.rows:
        name = short(row.title, 60)
        table.add_row(Text(name), *_cells(row, comparison.roles))
        if row.why_not:
            notes.append(f"{name} {'lacks seeds' if row.results else 'has no result'}: {short(row.why_not, 600)}")
        if any(result.capped for result in row.results):
            caps.append(f"{name}: the cap of {comparison.max_lm_calls:,} calls was reached.")
    notes += [*caps, *filter(None, [describing_cost(comparison), simulation_notice(comparison)])]
    return Group(Text(short(result_line(comparison), 600), "bold"), table, *map(Text, notes))


def result_line(comparison: Comparison) -> str:
    """What came out, in a sentence that claims no more than the test and the interval say."""
    scored = [row for row in comparison.rows if row.score is not None]
    if not comparison.rows:
        return "Nothing was compared."
    if not scored:
        return "No optimizer could run, so that there are no scores."
    on = f"on {comparison.n['test']:,} test questions" if "test" in comparison.n else "on the test questions"
    seeds = max(len(row.results) for row in scored)
    if lacking := [row for row in scored if len(row.results) < seeds]:
        return (
            f"{_names(lacking)} {_verb('lack', len(lacking))} seeds, so that scores {on} are not ranked;"
            " the tests take the seeds that both have."
        )
    baseline = next((row for row in scored if row.optimizer == BASELINE), None)
    best = max(row.score or 0.0 for row in scored)
    first = [row for row in scored if row.score == best]
    winners = f"{_names(first)} {_verb('score', len(first))}"
    if baseline is None:
        return f"{winners} {percent(best)} {on}; there is no uncompiled student to compare with."
    if len(scored) == 1:
        return f"The uncompiled student scores {percent(best)} {on}; there is nothing to compare it with."
    if baseline in first:
        return f"No optimizer scores higher than the uncompiled student, which scores {percent(best)} {on}."
    line = f"{winners} highest, {percent(best)} {on}; the uncompiled student scores {percent(baseline.score)}."
    test = first[0].vs_baseline
    if len(first) > 1 or test is None:
        return line
    interval = f"{points(test.difference)} points, 95% interval {span(test)}, {p_value(test.p_holm)} Holm-corrected"
    return f"{line} The difference ({interval}) is {'' if distinct(test) else 'not '}distinguishable from zero."


def standing(comparison: Comparison) -> str:
    """How many optimizers differ from the uncompiled student by test and interval; empty where none was tested."""
    tests = [row.vs_baseline for row in comparison.rows if row.vs_baseline is not None]
    if not tests:
        return ""
    above = sum(distinct(test) and test.difference > 0 for test in tests)
    below = sum(distinct(test) and test.difference < 0 for test in tests)
    rest = len(tests) - above - below
    return (
        f"Of {len(tests)} tested against the uncompiled student, {above} {_verb('score', above)} distinguishably"
        f" higher, {below} distinguishably lower, and {rest} cannot be told apart from it with these questions."
    )


def distinct(test: PairedTest) -> bool:
    """Whether both the corrected test and the interval speak against no difference."""
    return test.p_holm < SIGNIFICANT and (test.low > 0 or test.high < 0)


def simulation_notice(comparison: Comparison) -> str:
    """What stands above a simulator's figures; empty where no model is one."""
    return f"{SIMULATED} {RULES_ONLY}" if any(map(simulated, comparison.models.values())) else ""


def describing_cost(comparison: Comparison) -> str:
    """What describing the figures took, which is in no row; empty where they were not described."""
    used = comparison.described
    if used is None:
        return ""
    return (
        f"Describing the figures took {used.calls:,} more calls, once for all optimizers and for each new figure later:"
        f" {used.prompt_tokens:,} tokens in, {used.completion_tokens:,} out, US$ {cost(used)}."
    )


def points(fraction: float) -> str:
    """A difference of scores as percentage points."""
    return f"{100 * fraction:+.1f}".replace("-", "−").replace("−0.0", "0.0").replace("+0.0", "0.0")


def span(test: PairedTest) -> str:
    """The interval of a difference."""
    return f"{points(test.low)} to {points(test.high)}"


def p_value(p: float) -> str:
    """A p-value, never rounded to nought."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def dollars(amount: float | None) -> str:
    """US dollars to two digits that count."""
    if amount is None:
        return "–"
    return f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.{1 - floor(log10(amount))}f}"


def _cells(row: Row, roles: Sequence[str]) -> tuple[str, str, str, str]:
    if row.score is None:
        return "–", "–", "–", "–"
    interval = "" if row.low is None or row.high is None else f" ({100 * row.low:.1f}–{100 * row.high:.1f})"
    return (
        f"{100 * row.score:.1f}{interval}",
        f"{points(row.vs_baseline.difference)}, {p_value(row.vs_baseline.p_holm)}" if row.vs_baseline else "–",
        f"{row.mean('question', 'prompt_tokens'):,.0f}",
        f"{sum(row.mean('compile', role, 'calls') or 0.0 for role in roles):,.0f}",
    )


def _names(rows: Sequence[Row]) -> str:
    if len(rows) > 3:
        return f"{len(rows)} optimizers"
    *others, last = (short(row.title, 60) for row in rows)
    return f"{', '.join(others)} and {last}" if others else last


def _verb(verb: str, n: int) -> str:
    return f"{verb}s" if n == 1 else verb
