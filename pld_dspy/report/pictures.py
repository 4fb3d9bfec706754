"""Plots for a page, each an SVG inside a data URI: nothing is fetched, and no two plots' ids can clash."""

import base64
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pld_dspy.synthesis.candidates import Candidate

if TYPE_CHECKING:
    import optuna
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCENT, MUTED = "#1f5fbf", "#767676"


class Picture(NamedTuple):
    """A plot and what it says to who cannot see it."""

    source: str
    alt: str


class StudyPictures(NamedTuple):
    """The plots of a study, and the names of those that its trials do not allow."""

    drawn: list[Picture]
    left_out: list[str]


def candidate_picture(candidates: Sequence[Candidate]) -> Picture:
    """Score against prompt tokens: each candidate by its number, the Pareto front as a line, a ring on the chosen."""
    from matplotlib.figure import Figure

    points: dict[tuple[int, float], list[str]] = {}
    for number, candidate in enumerate(candidates, start=1):
        points.setdefault(_point(candidate), []).append(str(number))
    front = sorted({_point(candidate) for candidate in candidates if candidate.on_front})
    chosen = [_point(candidate) for candidate in candidates if candidate.chosen]
    with quietly():
        figure = Figure(layout="constrained")
        axes = figure.add_subplot(xlabel="tokens of the rules in the prompt", ylabel="validation score (%)")
        axes.scatter(*_columns(list(points)), color=MUTED, zorder=3)
        axes.plot(*_columns(front), "o-", color=ACCENT, linewidth=1, drawstyle="steps-post", zorder=4, label="front")
        axes.scatter(*_columns(chosen), s=150, facecolor="none", edgecolor=ACCENT, zorder=4, label="chosen")
        for point, numbers in points.items():
            axes.annotate(", ".join(numbers), point, xytext=(8, 6), textcoords="offset points")
        axes.margins(0.15)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
        return Picture(data_uri(figure), "Validation score against prompt tokens of the clusterings in the table.")


def study_pictures(study: "optuna.Study") -> StudyPictures:
    """Optuna's own plots of a study: its history, the importance of its parameters, and a slice for each."""
    from optuna.visualization.matplotlib import plot_optimization_history, plot_param_importances, plot_slice

    params = dict.fromkeys(name for trial in study.get_trials(deepcopy=False) for name in trial.params)
    plots: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "history of the trials' values": (plot_optimization_history, {}),
        "importance of the parameters": (plot_param_importances, {}),
        **{f"values by {name}": (plot_slice, {"params": [name]}) for name in params},
    }
    found = StudyPictures([], [])
    with quietly():
        for name, (plot, arguments) in plots.items():
            source = _drawn(plot, study, arguments)
            if source is None:
                found.left_out.append(name)
            else:
                found.drawn.append(Picture(source, f"Optuna's plot: {name}."))
    return found


def _drawn(plot: Callable[..., Any], study: "optuna.Study", arguments: dict[str, Any]) -> str | None:
    """A plot, or None where it fails or warns: what Matplotlib warns about is no good plot."""
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("error", RuntimeWarning)
            axes = plot(study, target_name="value", **arguments)
            _tidy(axes)
            return data_uri(axes.figure)
    except Exception:  # Optuna and Matplotlib have many words for trials that are too few or all the same
        return None
    finally:
        for number in set(pyplot.get_fignums()) - set(before):
            pyplot.close(number)


def _tidy(axes: "Axes") -> None:
    """Make room: Optuna draws for a wide screen, and Matplotlib labels every tick of a short logarithmic axis."""
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

    verbosity = optuna.logging.get_verbosity()
    backend = matplotlib.get_backend()
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rc("figure", figsize=(5.2, 3.5))
        matplotlib.rc("svg", hashsalt="pld")  # the ids of equal plots are equal
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
    figure.savefig(content, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode()}"


def _point(candidate: Candidate) -> tuple[int, float]:
    return candidate.prompt_tokens, 100 * candidate.score


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
