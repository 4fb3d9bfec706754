"""A comparison as one page, for a browser without a network: scores and tests, prices, contrasts, prompts."""

from collections.abc import Sequence
from pathlib import Path

from pld_dspy.optimizers import tables
from pld_dspy.optimizers.contrasts import Contrast, contrasts
from pld_dspy.optimizers.pictures import MOST_GROUPS, comparison_pictures
from pld_dspy.optimizers.registry import METHOD
from pld_dspy.optimizers.results import Comparison, ProgramPrompts
from pld_dspy.optimizers.unit import Unit

from pld_dspy.experiment import Task
from pld_dspy.report.page import LONGEST, environment
from pld_dspy.rules.wording import sound
from pld_dspy.run import RunFolder


def write_report(comparison: Comparison, task: Task, folder: Path) -> None:
    """Write report.html into a comparison's folder.

    Raises:
        PLDError: it cannot be written.
    """
    rows = [row for row in comparison.rows if row.results]
    units = [Unit(row.optimizer, row.results[0].seed, folder) for row in rows]
    answers = [unit.answers(row.results[0].n) for unit, row in zip(units, rows, strict=True)]
    differing = contrasts(rows, answers, task)
    RunFolder(folder).write("report.html", comparison_page(comparison, differing, [unit.prompts() for unit in units]))


def comparison_page(
    comparison: Comparison, differing: Sequence[Contrast] = (), prompts: Sequence[ProgramPrompts] = ()
) -> str:
    """Make the comparison's page. The same arguments give the same text.

    Args:
        comparison: what it found out.
        differing: test questions that some programs answered rightly and others wrongly.
        prompts: of the compiled programs.

    Returns:
        HTML that needs no other file, no network and no scripts.
    """
    from jinja2 import PackageLoader

    pages = environment(PackageLoader("pld_dspy.optimizers", "templates"))
    pages.filters["block"] = _block
    titles = {row.optimizer: row.title for row in comparison.rows}
    references = {"vs_baseline": "uncompiled", "vs_method": titles.get(METHOD, METHOD)}
    tested = [field for field in references if any(getattr(row, field) for row in comparison.rows)]
    return pages.get_template("compare.html").render(
        title=f"Optimizers compared: {comparison.program}",
        comparison=comparison,
        tables=tables,
        references={field: references[field] for field in tested},
        pictures=comparison_pictures(comparison),
        most_groups=MOST_GROUPS,
        contrasts=differing,
        programs=prompts,
        titles=titles,
    )


def _block(text: str) -> str:
    """Data as text whose lines are kept, cut where it is too long for a page."""
    lines = "\n".join(line.rstrip() for line in sound(text).expandtabs(4).splitlines()).strip("\n")
    kept = "".join(sign for sign in lines if sign.isprintable() or sign == "\n")
    return kept if len(kept) <= LONGEST else f"{kept[:LONGEST]}… ({len(kept) - LONGEST:,} more characters)"
