"""Plots for a page, each an SVG inside a data URI: nothing is fetched, and no two plots' ids can clash."""

import base64
import io
import math
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pld_dspy.synthesis.candidates import Candidate

if TYPE_CHECKING:
    import optuna
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCENT, MUTED = "#1f5fbf", "#767676"
NEAR = 16  # pixels between points that have a label together
MOST_SHARE = 30  # from the lowest to the highest number of tokens, times; more is drawn on a logarithmic axis
Point = tuple[float, float]


class Picture(NamedTuple):
    """A plot and what it says to who cannot see it."""

    source: str
    alt: str
    wide: bool = False


class StudyPictures(NamedTuple):
    """The plots of a study, and the names of those that its trials do not allow."""

    drawn: list[Picture]
    left_out: list[str]


def candidate_picture(candidates: Sequence[Candidate]) -> Picture:
    """Score against prompt tokens: each candidate by its number, the Pareto front as a line, a ring on the chosen."""
    from matplotlib.figure import Figure

    points = [(candidate.prompt_tokens, 100 * candidate.score) for candidate in candidates]
    front = {point for point, candidate in zip(points, candidates, strict=True) if candidate.on_front}
    chosen = [point for point, candidate in zip(points, candidates, strict=True) if candidate.chosen]
    with quietly():
        figure = Figure()
        axes = figure.add_subplot(xlabel="tokens of the rules in the prompt", ylabel="validation score (%)")
        axes.plot(*zip(*chosen, strict=True), "o", color=ACCENT, fillstyle="none", markersize=12, label="chosen")
        draw_front(figure, axes, dict(enumerate(points, start=1)), front)
        axes.legend(frameon=False, loc="lower right")
        return Picture(data_uri(figure), "Validation score against prompt tokens of the clusterings in the table.")


def draw_front(figure: "Figure", axes: "Axes", points: Mapping[int, Point], front: Collection[Point]) -> None:
    """Points of tokens and score by their numbers, and the Pareto front as a line; points close by share a label."""
    axes.plot(*zip(*sorted(front), strict=True), color=ACCENT, linewidth=1, drawstyle="steps-post", label="front")
    for point in points.values():
        axes.plot(*point, "o", color=ACCENT if point in front else MUTED)
    tokens = [x for x, _ in points.values()]
    if min(tokens) > 0 and max(tokens) / min(tokens) > MOST_SHARE:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(0.14)
    axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()  # settles where the points are
    labels: dict[Point, list[int]] = {}
    for number, point in sorted(points.items(), key=lambda item: item[1]):
        place = axes.transData.transform(point)
        near = (other for other in labels if math.dist(axes.transData.transform(other), place) < NEAR)
        labels.setdefault(next(near, point), []).append(number)
    for point, numbers in labels.items():
        text = ", ".join(map(str, sorted(numbers)))
        axes.annotate(text, point, xytext=(6, 6), textcoords="offset points", size=9)


def study_pictures(study: "optuna.Study") -> StudyPictures:
    """Optuna's own plots of a study: its history, the importance of its parameters, and a slice for each."""
    from optuna.visualization import matplotlib as plots

    several: dict[str, Callable[..., Any]] = {
        "history of the trials' values": plots.plot_optimization_history,
        "importance of the parameters": plots.plot_param_importances,
        "values by parameter": plots.plot_slice,
    }
    pictures = StudyPictures([], [])
    with quietly():
        for name, plot in several.items():
            if picture := _drawn(name, plot, study):
                pictures.drawn.append(picture)
            else:
                pictures.left_out.append(name)
    return pictures


def _drawn(name: str, plot: Callable[..., Any], study: "optuna.Study") -> Picture | None:
    """A plot, or None where it fails or warns: what Matplotlib warns about is no good plot."""
    import numpy as np
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("error", RuntimeWarning)
            several = np.ravel(plot(study, target_name="value"))  # of a slice, one for each parameter
            for axes in several:  # Optuna draws for a wide screen
                _fit(axes)
            several[0].figure.suptitle("")
            return Picture(data_uri(several[0].figure), f"Optuna's plot: {name}.", wide=len(several) > 2)
    except Exception:  # Optuna and Matplotlib have many words for trials that are too few or all the same
        return None
    finally:
        for number in set(pyplot.get_fignums()) - set(before):
            pyplot.close(number)


def _fit(axes: "Axes") -> None:
    """Make room: for points under a legend, and between the ticks of a short logarithmic axis, all of them labelled."""
    from matplotlib.ticker import LogLocator

    if axes.get_legend() is not None:
        axes.legend(loc="best")
    if axes.get_xscale() == "log":
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.xaxis.set_major_formatter("{x:g}")


@contextmanager
def quietly() -> Iterator[None]:
    """Draw without windows or warnings, in Matplotlib's own style, and leave the user's settings as they were."""
    import matplotlib
    import optuna

    verbosity, backend = optuna.logging.get_verbosity(), matplotlib.get_backend()
    with warnings.catch_warnings(action="ignore"), matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams |= {"figure.figsize": (5.2, 3.5), "figure.constrained_layout.use": True}
        matplotlib.rcParams["svg.hashsalt"] = "pld"  # equal plots, equal ids
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        matplotlib.use("agg")
        try:
            yield
        finally:
            matplotlib.use(backend, force=False)
            optuna.logging.set_verbosity(verbosity)


def data_uri(figure: "Figure") -> str:
    """A figure as an image's source."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode()}"
