"""What a row's seeds come to on average, for its tables and pictures."""

from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

from pld_dspy.optimizers.results import GroupScore, PerQuestion, Row


class Spent(NamedTuple):
    """What compiling asked of one model, means over the seeds."""

    calls: float
    prompt_tokens: float
    completion_tokens: float
    cost_usd: float | None  # None where LiteLLM knows no price
    seconds: float

    @property
    def tokens(self) -> float:
        """Both into the model and out of it."""
        return self.prompt_tokens + self.completion_tokens


def per_question(row: Row) -> PerQuestion | None:
    """What production pays for a question, or None where the row never ran."""
    if not row.results:
        return None
    found = [result.question for result in row.results]
    means = {name: mean(getattr(each, name) for each in found) for name in PerQuestion.model_fields}
    return PerQuestion.model_validate(means)


def compiling(row: Row) -> dict[str, Spent]:
    """What compiling asked of the models, by role."""
    spent = {}
    for role in roles([row]):
        found = [result.compile[role] for result in row.results]
        spent[role] = Spent(
            fmean(each.calls for each in found),
            fmean(each.prompt_tokens for each in found),
            fmean(each.completion_tokens for each in found),
            mean(each.cost_usd for each in found),
            fmean(each.seconds for each in found),
        )
    return spent


def roles(rows: Iterable[Row]) -> list[str]:
    """The models that any row asked while it compiled."""
    return list(dict.fromkeys(role for row in rows for result in row.results for role in result.compile))


def by_group(row: Row) -> dict[str, GroupScore]:
    """The row's score on each kind of question."""
    found: dict[str, list[GroupScore]] = {}
    for result in row.results:
        for name, group in result.groups.items():
            found.setdefault(name, []).append(group)
    return {
        name: GroupScore(n=groups[0].n, score=sum(group.score for group in groups) / len(groups))
        for name, groups in found.items()
    }


def groups_of(rows: Iterable[Row]) -> dict[str, int]:
    """All kinds of questions, and how many of each there are."""
    return {name: group.n for row in reversed(list(rows)) for name, group in by_group(row).items()}


def mean(values: Iterable[float | None]) -> float | None:
    """None where there is nothing, or where one is not known."""
    known = list(values)
    if not known or any(value is None for value in known):
        return None
    return sum(value for value in known if value is not None) / len(known)
