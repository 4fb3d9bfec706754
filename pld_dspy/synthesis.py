"""Phase 2, second half: one rule for each cluster of micro-rules."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pld_dspy.rules import MicroRule, RuleSet
from pld_dspy.runner import Runner
from pld_dspy.teacher import Teacher
from pld_dspy.wording import flaw

MOST_RULES = 20  # wordings of a cluster that the teacher is shown


def synthesise(
    micro_rules: Sequence[MicroRule], labels: np.ndarray, task: str, teacher: Teacher, runner: Runner
) -> RuleSet:
    """Unite each cluster into one rule; a rule that stands alone stays as it is, with a support of one.

    Args:
        micro_rules: n rules.
        labels: n cluster labels, -1 for a rule that belongs to no cluster.
        task: what the student is told to do.
        teacher: its `synthesise` predictor is asked, on the language model of the calling context, once for each
            cluster that has more than one wording.
        runner: makes the calls.

    Returns:
        Version 0 of the rule set, best supported rules first. Where the teacher's reply for a cluster is no rule,
        the cluster keeps the wording of its first micro-rule.
    """
    clusters: dict[int, list[MicroRule]] = defaultdict(list)
    for position, (micro_rule, label) in enumerate(zip(micro_rules, labels.tolist(), strict=True)):
        clusters[label if label >= 0 else -1 - position].append(micro_rule)
    groups = list(clusters.values())
    wordings = [list(dict.fromkeys(member.rule for member in group)) for group in groups]

    def ask(rules: list[str]) -> str | None:
        rule = teacher.synthesise(task=task, rules=rules[:MOST_RULES]).rule or ""
        return None if flaw(rule) else rule

    several = [rules for rules in wordings if len(rules) > 1]
    united = iter(runner.map(ask, several, "Uniting rules"))
    texts = [(next(united).value if len(rules) > 1 else None) or rules[0] for rules in wordings]
    return RuleSet.of((text, [member.example for member in group]) for text, group in zip(texts, groups, strict=True))
