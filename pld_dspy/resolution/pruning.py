"""The end of phase 3: every rule's use is measured, and harmful and idle rules go."""

import random
from collections.abc import Collection, Sequence

from pld_dspy.context import Context, Rules
from pld_dspy.examples import example_id
from pld_dspy.resolution.decisions import Decisions
from pld_dspy.resolution.diagnosis import by_likeness
from pld_dspy.resolution.rule_use import measure_use
from pld_dspy.rules import Edit, Proposal, RuleSet, RuleUse

LOOKED_AT = 2  # training examples that an idle rule comes from
BUDGETS = 2  # token budgets whose rules are measured, so that rules that did not fit get a chance


def prune(context: Context, rules: Rules, decisions: Decisions, iteration: int) -> Rules:
    """Take out rules that are harmful or idle on the validation set, if the gate finds no loss without them.

    An idle rule stays if an answer to one of two training examples that it comes from becomes worse without the idle
    rules: a small validation set has no question for every rule.

    Args:
        context: of the compile.
        rules: by predictor.
        decisions: puts each edit to the gate.
        iteration: the number of the steps that are noted.

    Returns:
        The rules that are left in the prompt, each with its use there.

    Raises:
        BudgetSpent: the budget ended first; what was accepted until then was kept.
    """
    for name in rules:
        use = _use(context, decisions, rules, name, context.in_prompt(rules, BUDGETS)[name])
        idle = [id for id, measured in use.items() if not measured.helped and not measured.hurt]
        needed = _needed(context, rules, name, idle)
        idle = [id for id in idle if id not in needed]
        harmful = sorted((id for id, measured in use.items() if measured.gain < 0), key=lambda id: use[id].gain)
        rules = {**rules, name: rules[name].measured(use)}
        rules = _without(decisions, rules, name, harmful, "validation scores are higher without it", iteration)
        rules = _without(decisions, rules, name, idle, "no answer changes without it", iteration)
    # What has gone may have stood in for what is left, and made room for it in the prompt.
    rules = context.in_prompt(rules)
    return {name: left.measured(_use(context, decisions, rules, name, left)) for name, left in rules.items()}


def _use(context: Context, decisions: Decisions, rules: Rules, name: str, shown: RuleSet) -> dict[str, RuleUse]:
    valset = decisions.valset
    full = context.score(context.build(rules, BUDGETS), valset, "Scoring all rules")

    def scores_without(ids: Collection[str], places: Sequence[int]) -> list[float]:
        rest = shown.keep({rule.id for rule in shown.rules} - {*ids})
        program, part = context.build({**rules, name: rest}, BUDGETS), [valset[place] for place in places]
        return context.score(program, part, "Measuring the use of rules").scores

    return measure_use(by_likeness(shown, context.embed), full.scores, scores_without)


def _needed(context: Context, rules: Rules, name: str, idle: Collection[str]) -> set[str]:
    """The rules among `idle` that an answer to one of their own training examples hangs on."""
    sources: dict[str, list[str]] = {}
    for rule in rules[name].rules:
        for id in rule.examples if rule.id in idle else ():
            sources.setdefault(id, []).append(rule.id)
    drawn = random.Random(context.seed).sample(list(context.trainset), len(context.trainset))
    own, seen = [], dict.fromkeys(idle, 0)
    for example in drawn:
        ids = sources.get(example_id(example), ())
        if any(seen[id] < LOOKED_AT for id in ids):
            own.append(example)
            seen |= {id: seen[id] + 1 for id in ids}
    if not own:
        return set()
    rest = rules[name].keep({rule.id for rule in rules[name].rules} - {*idle})
    purpose = "Looking at idle rules' own examples"
    kept = context.score(context.build(rules, BUDGETS), own, purpose)
    left = context.score(context.build({**rules, name: rest}, BUDGETS), own, purpose)
    return {
        id
        for example, before, after in zip(own, kept.scores, left.scores, strict=True)
        if after < before
        for id in sources[example_id(example)]
    }


def _without(decisions: Decisions, rules: Rules, name: str, ids: Sequence[str], reason: str, iteration: int) -> Rules:
    """Take rules out together; where the gate finds a loss, half of them, and so on down to each by itself."""
    if not ids:
        return rules
    edit = Edit(operation="delete", ids=tuple(ids), reason=reason)
    proposal = Proposal("pruning", name, [edit], shortens=True, measured=True)
    left = decisions.consider(rules, edit, proposal, iteration)
    if left is not rules or len(ids) == 1:
        return left
    for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
        rules = _without(decisions, rules, name, half, reason, iteration)
    return rules
