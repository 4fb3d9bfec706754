"""Plots of a comparison, each an SVG inside a data URI. Its rows have the same numbers as in the page's tables."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pld_dspy.optimizers.averages import by_group, compiling, groups_of, per_question, roles
from pld_dspy.optimizers.registry import BASELINE
from pld_dspy.optimizers.results import Comparison, Row
from pld_dspy.report.page import short
from pld_dspy.report.pictures import ACCENT, MUTED, Picture, data_uri, quietly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (ACCENT, "#c2701a")  # of the two roles, told apart also in grey
WIDTH = 6.4  # inches
LONG = 24  # characters of a name
MOST_GROUPS = 14
NEAR = 16  # pixels between points that have a label together
DARKEST = 0.6  # of the map of colours, so that black can be read on all of them
MOST_SHARE = 30  # from the lowest to the highest number of tokens, times; more is drawn on a logarithmic axis


class Plate(NamedTuple):
    """A picture under a heading, and a sentence on how it is read."""

    title: str
    picture: Picture
    said: str


def comparison_pictures(comparison: Comparison) -> list[Plate]:
    """Scores, score against tokens, scores by kind of question, and what compiling took; those that there are."""
    rows = comparison.rows
    if not any(row.score is not None for row in rows):
        return []
    plates = [
        Plate(
            "Scores",
            _picture(_scores, rows, "Scores with their 95% intervals, one row for each optimizer, as in the table."),
            "A dot is the mean of the seeds, the line its 95% interval over the questions, and small ticks are the"
            " single seeds. The dashed line is the uncompiled student.",
        ),
        Plate(
            "Score against what a question costs",
            _picture(_front, rows, "Score against input tokens a question, each optimizer by its number in the table."),
            "To the left is cheaper, above is better. On the line are those that no other beats in one without losing"
            " in the other. Numbers are the tables'.",
        ),
    ]
    if groups := groups_of(rows):
        cut = f" The first {MOST_GROUPS} of {len(groups)} kinds are drawn." if len(groups) > MOST_GROUPS else ""
        plates.append(
            Plate(
                "Scores by kind of question",
                _picture(
                    _heat, rows, "Scores in percent by optimizer and kind of question; the same as a table below."
                ),
                f"In percent, means over the seeds; n is the number of test questions. Kinds may overlap, and a"
                f" difference within a small one says little.{cut}",
            )
        )
    if any(spent.calls or spent.tokens for row in rows for spent in compiling(row).values()):
        plates.append(
            Plate(
                "What compiling cost",
                _picture(_costs, rows, "Calls and tokens of every compile by model, as in the table."),
                "Means over the seeds, by the model that was asked.",
            )
        )
    return plates


def _picture(draw: Callable[["Figure", Sequence[Row]], None], rows: Sequence[Row], alt: str) -> Picture:
    from matplotlib.figure import Figure

    with quietly():
        figure = Figure(layout="constrained")
        draw(figure, rows)
        return Picture(data_uri(figure), alt)


def _scores(figure: "Figure", rows: Sequence[Row]) -> None:
    axes = _by_row(figure, rows)
    for y, row in enumerate(rows):
        if row.score is None:
            continue
        colour = MUTED if row.optimizer == BASELINE else ACCENT
        if row.low is not None and row.high is not None:
            axes.plot([100 * row.low, 100 * row.high], [y, y], color=colour, linewidth=1.5, solid_capstyle="butt")
        if len(row.results) > 1:
            seeds = [100 * result.score for result in row.results]
            axes.plot(seeds, [y + 0.28] * len(seeds), "|", color="#333333", markersize=5, markeredgewidth=1)
        axes.plot(100 * row.score, y, "o", color=colour, markersize=6)
        if row.optimizer == BASELINE:
            axes.axvline(100 * row.score, color=MUTED, linestyle="--", linewidth=1, zorder=0)
    axes.margins(x=0.06)
    left = axes.get_xlim()[0]
    for y, row in enumerate(rows):
        if row.score is None:
            axes.annotate(
                "no result", (left, y), xytext=(6, 0), textcoords="offset points", va="center", color=MUTED, size=9
            )
    axes.set_xlim(left)
    axes.set_xlabel("test score (%)")
    axes.grid(axis="x", color="#e3e6ea", linewidth=0.8)
    axes.set_axisbelow(True)


def _front(figure: "Figure", rows: Sequence[Row]) -> None:
    axes = figure.add_subplot(xlabel="input tokens a question", ylabel="test score (%)")
    figure.set_size_inches(WIDTH, 4.6)
    points: dict[tuple[float, float], list[int]] = {}
    for index, row in enumerate(rows):
        question = per_question(row)
        if row.score is not None and question is not None:
            points.setdefault((question.prompt_tokens, 100 * row.score), []).append(index)
    ahead = sorted(point for point, indices in points.items() if any(rows[index].on_front for index in indices))
    steps = [corner for last, then in pairwise(ahead) for corner in (last, (then[0], last[1]))] + ahead[-1:]
    axes.plot([x for x, _ in steps], [y for _, y in steps], color=ACCENT, linewidth=1, zorder=2)
    for point in points:
        axes.plot(*point, "o", color=ACCENT if point in ahead else MUTED, markersize=6, zorder=3)
    lowest, highest = min((x for x, _ in points), default=0.0), max((x for x, _ in points), default=0.0)
    if lowest > 0 and highest / lowest > MOST_SHARE:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(0.14)
    if highest - lowest < 1:
        axes.set_xlim(lowest - 10, lowest + 10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()  # settles where the points are
    labels: dict[tuple[float, float], list[int]] = {}
    for point, indices in sorted(points.items()):
        at = axes.transData.transform(point)
        near = (other for other in labels if math.dist(axes.transData.transform(other), at) < NEAR)
        labels.setdefault(next(near, point), []).extend(indices)
    for point, indices in labels.items():
        numbers = ", ".join(str(index + 1) for index in sorted(indices))
        axes.annotate(numbers, point, xytext=(6, 6), textcoords="offset points", size=9)


def _heat(figure: "Figure", rows: Sequence[Row]) -> None:
    groups = list(groups_of(rows).items())[:MOST_GROUPS]
    found = [by_group(row) for row in rows]
    known = [group.score for each in found for name, group in each.items() if name in dict(groups)]
    low, high = min(known), max(known)
    headings = [f"{_name(name, 18)}\nn = {n:,}" for name, n in groups]
    axes = _by_row(figure, rows, width=2.4 + 0.72 * max(5, len(groups)))
    shades = [[float("nan") if name not in each else 100 * each[name].score for name, _ in groups] for each in found]
    axes.imshow(
        shades, cmap="Blues", vmin=100 * low - 1e-9, vmax=100 * (low + (high - low) / DARKEST) + 1e-9, aspect="auto"
    )
    for y, each in enumerate(found):
        for x, (name, _) in enumerate(groups):
            score = each[name].score if name in each else None
            said = "–" if score is None else f"{100 * score:.1f}"
            axes.text(x, y, said, ha="center", va="center", size=9)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(groups)), headings, size=9, parse_math=False)
    if any(len(_name(name, 18)) > 8 for name, _ in groups):
        axes.tick_params(axis="x", labelrotation=40)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("left")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _costs(figure: "Figure", rows: Sequence[Row]) -> None:
    spent = [compiling(row) for row in rows]
    measures = {"calls": "calls", "tokens": "tokens, in and out"}
    if any(each.cost_usd for of in spent for each in of.values()):
        measures["cost_usd"] = "US$, where known"
    columns = list(figure.subplots(1, len(measures), sharey=True, squeeze=False)[0])
    for axes, (measure, label) in zip(columns, measures.items(), strict=True):
        _prepare(axes, rows)
        ends = [0.0] * len(rows)
        for number, role in enumerate(roles(rows)):
            values = [float(getattr(of[role], measure) or 0) if role in of else 0.0 for of in spent]
            colour = COLOURS[number % len(COLOURS)]
            axes.barh(range(len(rows)), values, left=ends, color=colour, height=0.62, label=_name(role))
            ends = [end + value for end, value in zip(ends, values, strict=True)]
        axes.set_xlabel(label)
        axes.locator_params(axis="x", nbins=3)
        axes.xaxis.set_major_formatter(lambda x, _: _brief(x))
        axes.set_xlim(0)
    for axes in columns[1:]:
        axes.tick_params(axis="y", length=0)
    figure.legend(*columns[0].get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=4)
    figure.set_size_inches(WIDTH + 1.2, 1.3 + 0.3 * len(rows))


def _by_row(figure: "Figure", rows: Sequence[Row], width: float = WIDTH) -> "Axes":
    """Axes with an optimizer for each tick, from above."""
    figure.set_size_inches(width, 1.1 + 0.32 * len(rows))
    axes = figure.add_subplot()
    _prepare(axes, rows)
    return axes


def _prepare(axes: "Axes", rows: Sequence[Row]) -> None:
    names = [f"{number}  {_name(row.title)}" for number, row in enumerate(rows, start=1)]
    axes.set_yticks(range(len(rows)), names, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _name(text: str, most: int = LONG) -> str:
    said = short(text)
    return said if len(said) <= most else f"{said[: most - 1]}…"


def _brief(number: float) -> str:
    """A number for a tick."""
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{sign}"
    return f"{number:g}"
