"""Plots of a comparison, each an SVG inside a data URI. Its rows have the same numbers as in the page's tables."""

import math
from textwrap import fill
from typing import TYPE_CHECKING

from pld_dspy.optimizers.registry import BASELINE
from pld_dspy.optimizers.results import Comparison
from pld_dspy.report.page import short
from pld_dspy.report.pictures import ACCENT, MUTED, data_uri, draw_front, quietly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (ACCENT, "#c2701a")  # of the two roles, told apart also in grey
WIDTH = 6.4  # inches
LONG = 24  # characters of a name
MOST_GROUPS = 14
DARKEST = 0.6  # of the map of colours, so that black can be read on all of them


def comparison_pictures(comparison: Comparison) -> dict[str, str]:
    """The sources of the pictures that there are: "scores", "front", "groups" and "costs"."""
    from matplotlib.figure import Figure

    plots = {}
    if any(row.score is not None for row in comparison.rows):
        plots = {"scores": _scores, "front": _front}
        plots |= {"groups": _heat} if comparison.groups else {}
        plots |= {"costs": _costs} if _spent(comparison, "calls") else {}
    sources = {}
    with quietly():
        for name, draw in plots.items():
            figure = Figure(layout="constrained")
            draw(figure, comparison)
            sources[name] = data_uri(figure)
    return sources


def _scores(figure: "Figure", comparison: Comparison) -> None:
    axes = _axes_by_row(figure, comparison)[0]
    for y, row in enumerate(comparison.rows):
        if row.score is None:
            axes.text(0.02, y, "no result", transform=axes.get_yaxis_transform(), va="center", color=MUTED, size=9)
            continue
        colour = MUTED if row.optimizer == BASELINE else ACCENT
        axes.plot(100 * row.score, y, "o", color=colour)
        if row.low is not None and row.high is not None:
            axes.plot([100 * row.low, 100 * row.high], [y, y], color=colour, solid_capstyle="butt")
        if len(row.results) > 1:
            seeds = [100 * result.score for result in row.results]
            axes.plot(seeds, [y + 0.28] * len(seeds), "|", color="#333333")
        if row.optimizer == BASELINE:
            axes.axvline(100 * row.score, color=MUTED, linestyle="--", linewidth=1, zorder=0)
    axes.set_xlabel("test score (%)")
    axes.grid(axis="x", color="#e3e6ea", linewidth=0.8)


def _front(figure: "Figure", comparison: Comparison) -> None:
    axes = figure.add_subplot(xlabel="input tokens a question", ylabel="test score (%)")
    figure.set_size_inches(WIDTH, 4.6)
    points = {
        number: (row.mean("question", "prompt_tokens") or 0.0, 100 * row.score)
        for number, row in enumerate(comparison.rows, start=1)
        if row.score is not None
    }
    front = {point for number, point in points.items() if comparison.rows[number - 1].on_front}
    draw_front(figure, axes, points, front)


def _heat(figure: "Figure", comparison: Comparison) -> None:
    groups = list(comparison.groups.items())[:MOST_GROUPS]
    axes = _axes_by_row(figure, comparison, width=2.4 + 0.72 * max(5, len(groups)))[0]
    means = [[row.mean("groups", name, "score") for name, _ in groups] for row in comparison.rows]
    scores = [[math.nan if mean is None else 100 * mean for mean in line] for line in means]
    known = [score for line in scores for score in line if not math.isnan(score)]
    low, high = min(known), max(known)
    axes.imshow(scores, cmap="Blues", vmin=low, vmax=low + (high - low) / DARKEST + 1e-9, aspect="auto")
    for y, line in enumerate(scores):
        for x, score in enumerate(line):
            axes.text(x, y, "–" if math.isnan(score) else f"{score:.1f}", ha="center", va="center", size=9)
    axes.xaxis.tick_top()
    names = [f"{fill(_name(name, 27), 9)}\nn = {n:,}" for name, n in groups]
    axes.set_xticks(range(len(groups)), names, size=9, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _costs(figure: "Figure", comparison: Comparison) -> None:
    from matplotlib.ticker import EngFormatter

    rows = range(len(comparison.rows))
    measures = {"calls": "calls", "tokens": "tokens, in and out"}
    measures |= {"cost_usd": "US$, where known"} if _spent(comparison, "cost_usd") else {}
    columns = _axes_by_row(figure, comparison, WIDTH + 1.2, len(measures))
    for axes, (measure, label) in zip(columns, measures.items(), strict=True):
        ends = [0.0 for _ in rows]
        for role, colour in zip(comparison.roles, COLOURS, strict=False):
            values = [row.mean("compile", role, measure) or 0.0 for row in comparison.rows]
            axes.barh(rows, values, left=ends, color=colour, height=0.62, label=_name(role))
            ends = [end + value for end, value in zip(ends, values, strict=True)]
        axes.set(xlabel=label, xlim=(0, None))
        axes.locator_params(axis="x", nbins=3)
        axes.xaxis.set_major_formatter("{x:g}" if measure == "cost_usd" else EngFormatter(sep=""))
    figure.legend(*columns[0].get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=2)


def _spent(comparison: Comparison, measure: str) -> bool:
    return any(row.mean("compile", role, measure) for row in comparison.rows for role in comparison.roles)


def _axes_by_row(figure: "Figure", comparison: Comparison, width: float = WIDTH, columns: int = 1) -> "list[Axes]":
    """Axes side by side with an optimizer for each tick, from above."""
    rows = comparison.rows
    figure.set_size_inches(width, 1.2 + 0.32 * len(rows))
    side_by_side = list(figure.subplots(1, columns, sharey=True, squeeze=False)[0])
    names = [f"{number}  {_name(row.title)}" for number, row in enumerate(rows, start=1)]
    side_by_side[0].set_yticks(range(len(rows)), names, parse_math=False)
    side_by_side[0].set_ylim(len(rows) - 0.4, -0.6)
    for axes in side_by_side:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return side_by_side


def _name(text: str, most: int = LONG) -> str:
    name = short(text)
    return name if len(name) <= most else f"{name[: most - 1]}…"
