"""Which clustering's rules are kept: score on validation against tokens in the prompt."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pld_dspy.rules import MicroRule, RuleSet
from pld_dspy.statistics import pareto_front

if TYPE_CHECKING:
    from pld_dspy.clustering import Clustering


class Candidate(BaseModel):
    """The rules that came of one clustering, and what validation made of them."""

    clusterings: dict[str, str]  # by predictor: the setting, and what it came to
    rules: dict[str, RuleSet]  # by predictor
    prompt_tokens: int  # of the rules that fit into the prompt
    score: float  # on the validation set
    on_front: bool = False  # whether no other candidate has a higher score or fewer tokens at no loss of the other
    chosen: bool = False


def settle(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Mark the Pareto front of score and prompt tokens, and the candidate that is kept.

    Rules that do not fit the token budget are in no candidate's prompt, so that all of them keep to it: the highest
    score is kept, and of equal scores the one with the fewest tokens.

    Args:
        candidates: at least one.
    """
    front = pareto_front([(candidate.score, -candidate.prompt_tokens) for candidate in candidates])
    ahead = [number for number, inside in enumerate(front) if inside]
    best = max(ahead, key=lambda number: (candidates[number].score, -number))
    return [
        candidate.model_copy(update={"on_front": front[number], "chosen": number == best})
        for number, candidate in enumerate(candidates)
    ]


def clusterings_to_try(clusterings: Mapping[str, "Clustering"], most: int) -> "list[dict[str, Clustering]]":
    """The best clustering of every predictor, the next best of every predictor, and so on, each partition once."""
    ranked = {name: [found, *found.alternatives] for name, found in clusterings.items()}
    several = [
        {name: of[min(rank, len(of) - 1)] for name, of in ranked.items()}
        for rank in range(min(most, max(map(len, ranked.values()))))
    ]
    labels = [[found.labels.tolist() for found in candidate.values()] for candidate in several]
    return [candidate for number, candidate in enumerate(several) if labels[number] not in labels[:number]]


def said_of(clusterings: "Mapping[str, Clustering]") -> dict[str, str]:
    """By predictor, the setting of a clustering as a person reads it, and what it came to."""
    return {name: f"{_worded(found.params)}: {found}" for name, found in clusterings.items()}


def _worded(params: Mapping[str, Any]) -> str:
    """A setting as a person reads it."""
    told = [f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items()]
    return ", ".join(told).removeprefix("algorithm ").removeprefix("estimator ") or "equal rules only"


def written(micro_rules: Sequence[MicroRule], found: "Clustering") -> dict[str, Any]:
    """A clustering as clusters.json holds it: its setting, its measures, and the examples of each cluster."""
    clusters: dict[str, list[str]] = {}
    for rule, label in zip(micro_rules, found.labels.tolist(), strict=True):
        clusters.setdefault("noise" if label < 0 else str(label), []).append(rule.example)
    measures = {**found.quality._asdict(), "structure": found.structure, "weak": found.weak}
    return {"params": {key: repr(value) for key, value in found.params.items()}, **measures, "clusters": clusters}
