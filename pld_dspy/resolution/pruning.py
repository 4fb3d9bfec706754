"""The end of phase 3: every rule's use is measured, and harmful and idle rules go."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import dspy

from pld_dspy.examples import example_id
from pld_dspy.resolution.diagnosis import Rules, by_likeness
from pld_dspy.resolution.loop import Resolver
from pld_dspy.resolution.use import measure_use
from pld_dspy.rules import RuleSet, RuleUse
from pld_dspy.rules.edits import Edit
from pld_dspy.rules.steps import Proposal
from pld_dspy.student.evaluation import Evaluator

LOOKED_AT = 2  # training examples that an idle rule comes from


@dataclass(frozen=True)
class Pruner:
    """Measures the rules of one version, and takes out what is of no use.

    Args:
        build: puts rules into the student; it may hold more than the returned program's prompt, so that rules that did
            not fit get a chance.
        measurable: the rules that `build` holds.
        evaluate: scores programs and remembers every score.
        resolver: its gate decides, and it reports.
        seed: of the draw of training examples.
    """

    build: Callable[[Rules], dspy.Module]
    measurable: Callable[[Rules], Rules]
    evaluate: Evaluator
    resolver: Resolver
    seed: int = 0

    def prune(self, rules: Rules, iteration: int) -> Rules:
        """Take out rules that are harmful or idle on the validation set, if the gate finds no loss without them.

        An idle rule stays if an answer to one of two training examples that it comes from becomes worse without the
        idle rules: a small validation set has no question for every rule.

        Args:
            rules: by predictor.
            iteration: the number of the steps that are reported.

        Returns:
            The rules that are left in the prompt, each with its use there.

        Raises:
            BudgetSpent: the budget ended first; what was accepted until then was reported.
        """
        for name in rules:
            shown = self.measurable(rules)[name]
            use = self._use(rules, name, shown)
            idle = [id for id, of in use.items() if not of.helped and not of.hurt]
            needed = self._needed(rules, name, idle)
            idle = [id for id in idle if id not in needed]
            harmful = sorted((id for id, of in use.items() if of.gain < 0), key=lambda id: use[id].gain)
            rules = {**rules, name: rules[name].measured(use)}
            rules = self._without(rules, name, harmful, "validation scores are higher without it", iteration)
            rules = self._without(rules, name, idle, "no answer changes without it", iteration)
        # What has gone may have stood in for what is left, and made room for it in the prompt.
        rules = self.resolver.in_prompt(rules)
        return {name: of.measured(self._use(rules, name, of)) for name, of in rules.items()}

    def _use(self, rules: Rules, name: str, shown: RuleSet) -> dict[str, RuleUse]:
        valset = self.resolver.gate.valset
        full = self.evaluate(self.build(rules), valset, "Scoring all rules")

        def scores_without(ids: Collection[str], places: Sequence[int]) -> list[float]:
            rest = shown.keep({rule.id for rule in shown.rules} - {*ids})
            program, part = self.build({**rules, name: rest}), [valset[place] for place in places]
            return [item.score for item in self.evaluate(program, part, "Measuring the use of rules").items]

        order = by_likeness(shown, self.resolver.embedder)
        return measure_use(order, [item.score for item in full.items], scores_without)

    def _needed(self, rules: Rules, name: str, idle: Collection[str]) -> set[str]:
        """The rules among `idle` that an answer to one of their own training examples hangs on."""
        sources: dict[str, list[str]] = {}
        for rule in rules[name].rules:
            for id in rule.examples if rule.id in idle else ():
                sources.setdefault(id, []).append(rule.id)
        drawn = random.Random(self.seed).sample(list(self.resolver.trainset), len(self.resolver.trainset))
        own, seen = [], dict.fromkeys(idle, 0)
        for example in drawn:
            of = sources.get(example_id(example), ())
            if any(seen[id] < LOOKED_AT for id in of):
                own.append(example)
                seen |= {id: seen[id] + 1 for id in of}
        if not own:
            return set()
        rest = rules[name].keep({rule.id for rule in rules[name].rules} - {*idle})
        purpose = "Looking at idle rules' own examples"
        with_them = self.evaluate(self.build(rules), own, purpose)
        without = self.evaluate(self.build({**rules, name: rest}), own, purpose)
        return {
            id
            for example, kept, left in zip(own, with_them.items, without.items, strict=True)
            if left.score < kept.score
            for id in sources[example_id(example)]
        }

    def _without(self, rules: Rules, name: str, ids: Sequence[str], reason: str, iteration: int) -> Rules:
        """Take rules out together; where the gate finds a loss, half of them, and so on down to each by itself."""
        if not ids:
            return rules
        edit = Edit(operation="delete", ids=tuple(ids), reason=reason)
        left = self.resolver.consider(rules, Proposal("pruning", name, [edit]), iteration)
        if left is not rules or len(ids) == 1:
            return left
        for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
            rules = self._without(rules, name, half, reason, iteration)
        return rules
