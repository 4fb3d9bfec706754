"""Phase 2, second half: the rules of several clusterings, and which of them validation keeps."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pld_dspy.context import Context, Version
from pld_dspy.rules import MicroRule, RuleSet, by_predictor
from pld_dspy.run import BudgetSpent
from pld_dspy.statistics import common_means, pareto_front
from pld_dspy.student import Evaluation, tasks_of
from pld_dspy.synthesis.unions import Unions, unite_clusters

if TYPE_CHECKING:
    from pld_dspy.clustering import Clustering

log = logging.getLogger(__name__)

ENOUGH = 0.5  # of the budget; when so much is used, no further candidate is tried


class Candidate(BaseModel):
    """The rules that came of one clustering, and what validation made of them."""

    clusterings: dict[str, str]  # by predictor: the setting, and what it came to
    rules: dict[str, RuleSet]  # by predictor
    prompt_tokens: int  # of the rules that fit into the prompt
    score: float  # on the validation set
    on_front: bool = False  # whether no other candidate has a higher score or fewer tokens at no loss of the other
    chosen: bool = False


def unite(
    context: Context, micro_rules: Sequence[MicroRule], clusterings: "Mapping[str, Clustering]", num_candidates: int
) -> list[Candidate]:
    """Make rules of the best clusterings, and keep those that score best on validation as version 0.

    Further candidates are tried while less than half of the budget is used.

    Args:
        context: of the compile.
        micro_rules: of all predictors.
        clusterings: of them, by predictor.
        num_candidates: clusterings to try at most.

    Returns:
        The candidates that were tried, one of them chosen.

    Raises:
        BudgetSpent: the budget ended before the first was validated; its rules are kept without a score.
    """
    known = len(context.folder.lines("candidates.jsonl", Candidate))  # by this run before it was stopped
    unions: dict[str, Unions] = defaultdict(dict)
    members, tasks = by_predictor(micro_rules), tasks_of(context.student)
    candidates: list[Candidate] = []
    validations: list[Evaluation] = []
    to_try = clusterings_to_try(clusterings, num_candidates)
    for number, partition in enumerate(to_try, start=1):
        if candidates and number > known and context.budget_used() >= ENOUGH:
            break
        rules = {
            name: unite_clusters(context, group, partition[name].labels, tasks[name], unions[name])
            for name, group in members.items()
        }
        if not candidates:
            _keep_first(context, Version(rules), members, partition)
        try:
            found = context.score(context.build(rules), context.valset, f"Validating clustering {number}")
        except BudgetSpent:
            if not candidates:
                raise
            break
        tokens = sum(context.tokens(ruleset.render()) for ruleset in context.in_prompt(rules).values())
        validations.append(found)
        candidate = Candidate(clusterings=_in_words(partition), rules=rules, prompt_tokens=tokens, score=found.score)
        candidates.append(candidate)
        if number > known:
            context.folder.append("candidates.jsonl", candidate)
    means = common_means([found.scores for found in validations])
    pairs = zip(candidates, means, strict=True)
    candidates = settle([candidate.model_copy(update={"score": mean}) for candidate, mean in pairs])
    number = next(number for number, candidate in enumerate(candidates) if candidate.chosen)
    best = candidates[number]
    _keep_first(context, Version(best.rules, validations[number]), members, to_try[number])
    context.folder.write("candidates.jsonl", "".join(f"{candidate.model_dump_json()}\n" for candidate in candidates))
    for name, fitting in context.in_prompt(best.rules).items():
        if left_out := len(best.rules[name]) - len(fitting):
            log.warning("%d rules of %s do not fit into %s tokens.", left_out, name, context.max_rule_tokens)
    return candidates


def settle(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Mark the Pareto front of score and prompt tokens, and the candidate that is kept.

    Prompts keep to the token budget in any case, so that the highest score is kept, and of equal ones the shortest.

    Args:
        candidates: at least one.
    """
    measures = [(candidate.score, -candidate.prompt_tokens) for candidate in candidates]
    best, front = measures.index(max(measures)), pareto_front(measures)
    return [
        candidate.model_copy(update={"on_front": ahead, "chosen": number == best})
        for number, (candidate, ahead) in enumerate(zip(candidates, front, strict=True))
    ]


def clusterings_to_try(clusterings: "Mapping[str, Clustering]", most: int) -> "list[dict[str, Clustering]]":
    """The best clustering of every predictor, the next best of every predictor, and so on, each partition once."""
    ranked = {name: [best, *best.alternatives] for name, best in clusterings.items()}
    several = [
        {name: ranks[min(rank, len(ranks) - 1)] for name, ranks in ranked.items()}
        for rank in range(min(most, max(map(len, ranked.values()))))
    ]
    labels = [[clustering.labels.tolist() for clustering in partition.values()] for partition in several]
    return [partition for number, partition in enumerate(several) if labels[number] not in labels[:number]]


def _keep_first(
    context: Context, version: Version, members: Mapping[str, list[MicroRule]], clusterings: "Mapping[str, Clustering]"
) -> None:
    """Keep rules as version 0, and what was put together for them."""
    written = {name: _as_json(members[name], clustering) for name, clustering in clusterings.items()}
    context.folder.write("clusters.json", written)
    context.keep(version, first=True)


def _in_words(clusterings: "Mapping[str, Clustering]") -> dict[str, str]:
    """By predictor, the setting of a clustering as a person reads it, and what it came to."""

    def setting(params: Mapping[str, Any]) -> str:
        values = [
            f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}" for key, value in params.items()
        ]
        return ", ".join(values).removeprefix("algorithm ").removeprefix("estimator ") or "equal rules only"

    return {name: f"{setting(clustering.params)}: {clustering}" for name, clustering in clusterings.items()}


def _as_json(micro_rules: Sequence[MicroRule], clustering: "Clustering") -> dict[str, Any]:
    """A clustering as clusters.json holds it: its setting, its measures, and the examples of each cluster."""
    clusters: dict[str, list[str]] = defaultdict(list)
    for rule, label in zip(micro_rules, clustering.labels.tolist(), strict=True):
        clusters["noise" if label < 0 else str(label)].append(rule.example)
    measures = {**clustering.quality._asdict(), "structure": clustering.structure, "weak": clustering.weak}
    return {"params": {key: repr(value) for key, value in clustering.params.items()}, **measures, "clusters": clusters}
