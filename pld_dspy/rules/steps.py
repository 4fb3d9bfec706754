"""Edits that are proposed, and what became of them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import dspy
from pydantic import BaseModel

from pld_dspy.rules.edits import Edit
from pld_dspy.rules.ruleset import RuleSet
from pld_dspy.rules.wording import flaw
from pld_dspy.statistics import Comparison

REPEATED = "the rules say so already"


class Proposal(NamedTuple):
    """Edits of one predictor's rules, each of which is put to the gate by itself."""

    purpose: str  # what they are for, as steps and reports say it
    predictor: str
    edits: Sequence[Edit]
    failures: Sequence[dspy.Example] = ()  # that they are to mend
    shortens: bool = False  # whether an equal score is enough, since they make the rules shorter
    measured: bool = False  # whether most of their scores are known, so that validation need not begin with a part
    objection: Callable[[Edit, RuleSet], str | None] | None = None  # what else speaks against an edit


class Verdict(BaseModel, frozen=True):
    """What the gate found out about a candidate, and what it decided."""

    accepted: bool
    why: str
    mended: int | None = None  # of the failures that the edit was written for; None where it was for none
    comparison: Comparison | None = None  # on the validation set, or on its first part where that was enough
    whole: bool = False  # whether on all of the validation set


class Step(BaseModel):
    """One edit, and what the gate made of it: a line of edits.jsonl."""

    iteration: int
    purpose: str
    predictor: str
    edit: Edit
    before: list[str] = []  # texts of the rules that it names
    failures: list[str]  # ids of the examples that it was to mend
    authors: list[str] = []  # people whose rules it changes
    verdict: Verdict


def obstacle(edit: Edit, rules: RuleSet, options: bool = False) -> str | None:
    """Why an edit cannot be made, or None: its rules have to be there, and it has to say something new.

    `options` is whether the questions have options with letters, which no rule may name.
    """
    if edit.fault:
        return edit.fault
    if missing := [id for id in edit.ids if id not in {rule.id for rule in rules.rules}]:
        return f"there is no rule {', '.join(missing)}"
    flaws = (flaw(" ".join(text.split()), options) for text in edit.wordings)
    return next(filter(None, flaws), REPEATED if edit.kind.repeats(edit, rules.rules) else None)
