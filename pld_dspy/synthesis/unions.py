"""Phase 2, second half: one rule for each cluster of micro-rules."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pld_dspy.context import Context
from pld_dspy.examples import has_options
from pld_dspy.rules import AppliedEdit, Edit, MicroRule, Rule, RuleSet
from pld_dspy.rules.wording import flaw
from pld_dspy.teacher import Teacher

MOST_RULES = 20  # wordings of a cluster that the teacher is shown

Unions = dict[tuple[str, ...], str | None]  # wordings, and the rule that the teacher makes of them


def unite_clusters(
    context: Context, micro_rules: Sequence[MicroRule], labels: np.ndarray, task: str, known: Unions
) -> RuleSet:
    """Unite each cluster into one rule; a rule that stands alone stays as it is, with a support of one.

    What a person wrote is not rewritten as long as it is the only such wording of its cluster. Where several persons'
    wordings are united, the rule's history holds them.

    Args:
        context: its teacher is asked once for each cluster that has more than one wording. Without a teacher a cluster
            keeps its first wording.
        micro_rules: n rules of one predictor.
        labels: n cluster labels, -1 for a rule that belongs to no cluster.
        task: what the student is told to do.
        known: what the teacher has made of wordings for the same task, in another clustering; it is added to.

    Returns:
        Version 0 of the rule set, best supported rules first. Where the teacher's reply for a cluster is no rule,
        the cluster keeps its first wording, a person's before the others.
    """
    clusters: dict[int, list[MicroRule]] = defaultdict(list)
    for position, (micro_rule, label) in enumerate(zip(micro_rules, labels.tolist(), strict=True)):
        clusters[label if label >= 0 else -1 - position].append(micro_rule)
    groups = clusters.values()
    wordings = [_wordings(group) for group in groups]
    if context.teacher is not None:
        new = [rules for rules in dict.fromkeys(wordings) if len(rules) > 1 and rules not in known]
        known.update(_ask(context, context.teacher, new, task))
    texts = [known.get(rules) or rules[0] for rules in wordings]
    return RuleSet.numbered(_rule(text, group) for text, group in zip(texts, groups, strict=True))


def _ask(context: Context, teacher: Teacher, wordings: Sequence[tuple[str, ...]], task: str) -> Unions:
    """What the teacher makes of wordings; None where its reply is no rule, nothing where there is no reply."""

    options = any(map(has_options, context.trainset))

    def ask(rules: tuple[str, ...]) -> str | None:
        rule = teacher.synthesise(task=task, rules=list(rules[:MOST_RULES])).rule or ""
        return None if flaw(rule, options) else rule

    outcomes = context.ask("teacher", ask, wordings, "Uniting rules")
    return {rules: outcome.value for rules, outcome in zip(wordings, outcomes, strict=True) if outcome.error is None}


def _wordings(group: Sequence[MicroRule]) -> tuple[str, ...]:
    """What a cluster says, each wording once: a person's alone if there is just one, else people's first."""
    people = dict.fromkeys(member.rule for member in group if member.author)
    everyone = people | dict.fromkeys(member.rule for member in group)
    return tuple(people if len(people) == 1 else everyone)


def _rule(text: str, group: Sequence[MicroRule]) -> Rule:
    people = [member for member in group if member.author]
    history: tuple[AppliedEdit, ...] = ()
    if any(member.rule != text for member in people):
        ids = tuple(dict.fromkeys(f"{member.author}/{member.example}" for member in people))
        operation = "merge" if len(ids) > 1 else "revise"
        united = Edit(operation=operation, ids=ids, text=text, reason="they were in one cluster")
        history = (AppliedEdit(version=0, edit=united, before=tuple(member.rule for member in people)),)
    examples = tuple(dict.fromkeys(member.example for member in group))
    authors = tuple(dict.fromkeys(member.author for member in people))
    return Rule(id="", text=text, examples=examples, authors=authors, edits=history)
