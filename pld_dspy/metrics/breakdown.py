"""A benchmark's table: several measures, averaged over groups of questions."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, Field

from pld_dspy.statistics import bootstrap_interval


class Group(BaseModel):
    """Questions of one kind."""

    name: str
    n: int
    scores: dict[str, float]  # by measure, means; empty where n is 0


class Breakdown(BaseModel):
    """The table: groups that may overlap, the last one with all questions."""

    groups: list[Group]
    intervals: dict[str, tuple[float, float]]  # by measure, where scores differ: 95% bootstrap interval of the mean
    overall: dict[str, float] = {}  # measures that are no means, over all questions
    columns: dict[str, list[float]] = Field({}, exclude=True)  # by measure: each question's score


def break_down(
    names: Sequence[str],
    groups: Sequence[Collection[str]],
    columns: Mapping[str, Sequence[float]],
    everything: str = "all",
    overall: Mapping[str, float] | None = None,
) -> Breakdown:
    """Average measures, a score for each question, over named groups; a last one, `everything`, has all questions.

    `groups` has for each question the names that it belongs to, and `overall` measures that are no means.

    >>> table = break_down(["plot", "table"], [{"plot"}, {"plot"}, {"table"}], {"accuracy": [1, 0, 1]})
    >>> [(group.name, group.n, round(group.scores["accuracy"], 2)) for group in table.groups]
    [('plot', 2, 0.5), ('table', 1, 1.0), ('all', 3, 0.67)]
    """
    rows = [(name, [name in own for own in groups]) for name in names] + [(everything, [True] * len(groups))]
    scores = {measure: np.asarray(column, dtype=float) for measure, column in columns.items()}

    def means(inside: list[bool]) -> dict[str, float]:
        return {measure: float(column[inside].mean()) for measure, column in scores.items()} if any(inside) else {}

    return Breakdown(
        groups=[Group(name=name, n=sum(inside), scores=means(inside)) for name, inside in rows],
        intervals={measure: interval for measure, column in scores.items() if (interval := bootstrap_interval(column))},
        overall=dict(overall or {}),
        columns={measure: column.tolist() for measure, column in scores.items()},
    )
