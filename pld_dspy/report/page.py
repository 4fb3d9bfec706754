"""A compile as one page, for a browser without a network: scores, rules, coverage, clusterings, edits, studies."""

import logging
from typing import TYPE_CHECKING, Any

from pld_dspy.models import simulated
from pld_dspy.report.pictures import candidate_picture, study_pictures
from pld_dspy.report.tables import SIMULATED, cost, percent
from pld_dspy.rules.wording import sound
from pld_dspy.student.coverage import shortened

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

    from pld_dspy.clustering import Clustering
    from pld_dspy.distillation import Distillation
    from pld_dspy.experiment import Summary
    from pld_dspy.run.folder import RunFolder

log = logging.getLogger(__name__)

LONGEST = 4_000  # characters of a text that are shown
MOST_IDS = 500  # of a rule's examples
STAGES = {
    "student": "the student as it came",
    "clustered": "with the rules from the clusters",
    "compiled": "as returned",
}


def compile_page(title: str, distillation: "Distillation", summary: "Summary | None" = None) -> str:
    """Make report.html. The same arguments give the same text.

    Args:
        title: what was compiled.
        distillation: what the compile found out.
        summary: the scores on the test split, where there are some.

    Returns:
        HTML that needs no other file, no network and no scripts.
    """
    candidates = distillation.candidates
    return (
        environment()
        .get_template("compile.html")
        .render(
            title=title,
            result=_result(distillation, summary),
            simulated=SIMULATED if any(map(simulated, distillation.models.values())) else "",
            summary=summary,
            found=distillation,
            stages=[(STAGES.get(stage, stage), score) for stage, score in distillation.validation.items()],
            scatter=candidate_picture(candidates) if len(candidates) > 1 else None,
            usage=summary.usage if summary else distillation.usage,
            searches={name: _search(found) for name, found in distillation.clusterings.items()},
            most_ids=MOST_IDS,
        )
    )


def environment(*loaders: "BaseLoader") -> "Environment":
    """For pages that show data: all of it is escaped, and a name that is missing is an error.

    Args:
        loaders: of further templates, which may extend base.html.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=ChoiceLoader([*loaders, PackageLoader("pld_dspy", "report/templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": short, "percent": percent, "shortened": shortened, "cost": cost}
    return made


def write_page(run: "RunFolder", title: str, distillation: "Distillation", summary: "Summary | None" = None) -> None:
    """Write report.html into a run folder, if there is one.

    What fails in drawing it is a warning and no error: the compile has been paid for.
    """
    if run.path is None:
        return
    try:
        run.write("report.html", compile_page(title, distillation, summary))
    except Exception as error:
        log.warning("report.html could not be made: %s", error)


def _result(distillation: "Distillation", summary: "Summary | None") -> str:
    """The page's first line."""
    if summary is not None:
        scores, told = summary.score, f"on {summary.n['test']:,} test questions"
        return f"{percent(scores.baseline)} → {percent(scores.compiled)} {told}, before and after compiling"
    before, after = (distillation.validation.get(stage) for stage in ("student", "compiled"))
    if before is None:
        return "No score: the student was not validated"
    if after is None:
        return f"{percent(before)} on the validation set, as the student came"
    return f"{percent(before)} → {percent(after)} on the validation set, before and after compiling"


def _search(found: "Clustering") -> dict[str, Any]:
    """What an Optuna study tried; nothing where there was none, or too little to search in."""
    from optuna.trial import TrialState

    done = (TrialState.COMPLETE, TrialState.PRUNED)  # not those that were stopped or are another process's
    trials = found.study.get_trials(deepcopy=False, states=done) if found.study else []
    if found.study is None or not trials:
        return {"said": str(found), "trials": 0}
    finished = any(trial.state == TrialState.COMPLETE for trial in trials)
    return {
        "said": str(found),
        "trials": len(trials),
        "best": found.study.best_trial if finished else None,
        "pictures": study_pictures(found.study),
    }


def short(text: object, most: int = LONGEST) -> str:
    """Data as text on one line, cut where it is too long for a page."""
    line = "".join(sign for sign in sound(" ".join(str(text).split())) if sign.isprintable())
    return line if len(line) <= most else f"{line[:most]}… ({len(line) - most:,} more characters)"
