"""Edits that are proposed, and what became of them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import dspy
from pydantic import BaseModel, ConfigDict

from pld_dspy.rules import RuleSet
from pld_dspy.rules.edits import Edit
from pld_dspy.rules.wording import flaw
from pld_dspy.statistics import Comparison

Purpose = Literal["contradiction", "repair", "compression", "pruning"]
SAID = "the rules say so already"
SHORTENING = ("compression", "pruning")  # purposes for which an equal score is enough


class Proposal(NamedTuple):
    """Edits of one predictor's rules, and the failures they are to mend."""

    purpose: Purpose
    predictor: str
    edits: Sequence[Edit]
    failures: Sequence[dspy.Example] = ()


class Verdict(BaseModel):
    """What the gate found out about a candidate, and what it decided."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    why: str
    mended: int | None = None  # of the failures that the edit was written for; None where it was for none
    comparison: Comparison | None = None  # on the validation set, or on its first part where that was enough
    whole: bool = False  # whether on all of the validation set


class Step(BaseModel):
    """One edit, and what the gate made of it: a line of edits.jsonl."""

    iteration: int
    purpose: Purpose
    predictor: str
    edit: Edit
    before: list[str] = []  # texts of the rules that it names
    failures: list[str]  # ids of the examples that it was to mend
    authors: list[str] = []  # people whose rules it changes
    verdict: Verdict

    @property
    def final(self) -> bool:
        """Whether the verdict holds where an equal score is enough, too."""
        lost = self.verdict.comparison is not None and self.verdict.comparison.gain < 0
        return self.verdict.accepted or lost or self.purpose in SHORTENING


def obstacle(edit: Edit, rules: RuleSet) -> str | None:
    """Why an edit cannot be made, or None: its rules have to be there, and it has to say something new."""
    if edit.fault:
        return edit.fault
    order = [rule.id for rule in rules.rules]
    if missing := [id for id in edit.ids if id not in order]:
        return f"there is no rule {', '.join(missing)}"
    texts = [" ".join(text.split()) for text in edit.wordings]
    if problem := next(filter(None, map(flaw, texts)), None):
        return problem
    others = {rule.text for rule in rules.rules if edit.operation != "merge" or rule.id not in edit.ids}
    unchanged = edit.operation == "reorder" and sorted(edit.ids, key=order.index) == [*edit.ids]
    return SAID if unchanged or others & {*texts} or len({*texts}) < len(texts) else None
