"""A compile as one page, for a browser without a network: scores, rules, coverage, clusterings, edits, studies."""

import logging
from typing import TYPE_CHECKING, Any

from pld_dspy.clustering import Clustering
from pld_dspy.distillation import Distillation
from pld_dspy.experiment import Summary
from pld_dspy.report.pictures import candidate_picture, study_pictures
from pld_dspy.report.tables import cost, notice
from pld_dspy.rules.wording import sound
from pld_dspy.run import RunFolder
from pld_dspy.statistics import percent
from pld_dspy.student.coverage import shortened

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

log = logging.getLogger(__name__)

LONGEST = 4_000  # characters of a text that are shown


def compile_page(title: str, distillation: Distillation, summary: Summary | None = None) -> str:
    """Make report.html, with the scores on the test split where there are some.

    Returns:
        HTML that needs no other file, no network and no scripts; the same arguments give the same text.
    """
    candidates = distillation.candidates
    return environment().get_template("compile.html").render(
        title=title, found=distillation, summary=summary, simulated=notice(distillation.models.values()),
        scatter=candidate_picture(candidates) if len(candidates) > 1 else None,
        searches={name: _search(clustering) for name, clustering in distillation.clusterings.items()},
    )  # fmt: skip


def environment(*loaders: "BaseLoader") -> "Environment":
    """For pages that show data: all of it is escaped, and a name that is missing is an error.

    `loaders` find further templates, which may extend base.html.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([*loaders, PackageLoader("pld_dspy", "report/templates")])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"short": short, "percent": percent, "shortened": shortened, "cost": cost}
    return made


def write_page(run: RunFolder, title: str, distillation: Distillation, summary: Summary | None = None) -> None:
    """Write report.html into a run folder, if there is one; a page that fails is a warning, as the compile is paid."""
    try:
        run.write("report.html", compile_page(title, distillation, summary))
    except Exception as error:
        log.warning("report.html could not be made: %s", error)


def _search(clustering: Clustering) -> dict[str, Any]:
    """What an Optuna study tried; nothing where there was none, or too little to search in."""
    from optuna.trial import TrialState

    study = clustering.study
    states = (TrialState.COMPLETE, TrialState.PRUNED)  # not those that were stopped or are another process's
    trials = study.get_trials(deepcopy=False, states=states) if study else []
    search: dict[str, Any] = {"said": str(clustering), "trials": len(trials)}
    if study and trials:
        finished = any(trial.state == TrialState.COMPLETE for trial in trials)
        search |= {"best": study.best_trial if finished else None, "pictures": study_pictures(study)}
    return search


def short(text: object, most: int = LONGEST) -> str:
    """Data as text on one line, cut where it is too long for a page."""
    line = "".join(sign for sign in sound(" ".join(str(text).split())) if sign.isprintable())
    return line if len(line) <= most else f"{line[:most]}… ({len(line) - most:,} more characters)"
