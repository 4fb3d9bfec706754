"""How many training examples the rules in the prompt come from, by kind of example."""

from collections.abc import Mapping, Sequence

import dspy
from pydantic import BaseModel

from pld_dspy.examples import example_id, told_apart
from pld_dspy.rules import RuleSet
from pld_dspy.student.program import value_of


class Share(BaseModel):
    """Training examples of one kind, and how many of them a rule in the prompt comes from."""

    n: int
    covered: int

    @property
    def fraction(self) -> float:
        """The covered part; 0 of nothing."""
        return self.covered / self.n if self.n else 0.0


class Coverage(Share):
    """The same of all training examples, and by stratum and value, the most frequent value first."""

    groups: dict[str, dict[str, Share]] = {}


def coverage(rules: Mapping[str, RuleSet], trainset: Sequence[dspy.Example], strata: Sequence[str]) -> Coverage:
    """Count the training examples that the rules cover. The others have left nothing in the prompt.

    Args:
        rules: those that stand in the prompt, by predictor. An example is covered if one of them comes from it.
        trainset: the examples that the rules were learned from.
        strata: fields of the examples to group by; an example without a value is under "unknown".
    """
    sources = {id for of in rules.values() for rule in of.rules for id in rule.examples}
    covered = [example_id(example) in sources for example in told_apart(trainset)]
    groups = {}
    for field in strata:
        values = [value_of(example, field) for example in trainset]
        counts: dict[str, Share] = {}
        for value, inside in zip(values, covered, strict=True):
            share = counts.setdefault(value, Share(n=0, covered=0))
            share.n += 1
            share.covered += inside
        groups[field] = dict(sorted(counts.items(), key=lambda item: (-item[1].n, item[0])))
    return Coverage(n=len(trainset), covered=sum(covered), groups=groups)


def shortened(groups: Mapping[str, Share], most: int = 20) -> list[tuple[str, Share]]:
    """The first values for a table, and the sum of the others under a name that no value has."""
    rows = list(groups.items())
    if len(rows) <= most:
        return rows
    rest = [share for _, share in rows[most:]]
    total = Share(n=sum(share.n for share in rest), covered=sum(share.covered for share in rest))
    return [*rows[:most], (f"{len(rest)} others", total)]
