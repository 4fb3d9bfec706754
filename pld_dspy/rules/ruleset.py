"""Rules and rule sets: what a person reads, changes and puts back."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError, model_validator

from pld_dspy.errors import PLDError
from pld_dspy.rules.edits import AppliedEdit, Edit, Rule, RuleUse
from pld_dspy.rules.wording import RuleText, Text

HEADER = "Rules learned from worked examples. Find the rule whose condition fits the question and follow it."

_NUMBERED = re.compile(r"R\d{1,9}")


class MicroRule(BaseModel, frozen=True):
    """One general rule that was written down from one training example."""

    predictor: str
    example: str  # the training example's id
    rule: RuleText
    reasoning: Text = ""
    author: Text = ""  # the person who wrote it; "" for what a model or the data's rationales say


class RuleSet(BaseModel, frozen=True):
    """The rules of one predictor, in the order in which the student reads them.

    `last_id` counts every id ever given, so that the id of a deleted rule never names another one.
    """

    version: int = 0
    rules: tuple[Rule, ...] = ()
    last_id: int = 0

    @model_validator(mode="after")
    def _unique_ids(self) -> "RuleSet":
        if twice := [id for id, n in Counter(rule.id for rule in self.rules).items() if n > 1]:
            raise ValueError(f"rule ids must be unique, these are not: {', '.join(twice)}")
        return self

    @classmethod
    def of(cls, rules: Iterable[tuple[str, Sequence[str]]]) -> "RuleSet":
        """A first version from (text, example ids) pairs, best supported first, with ids R1, R2, ..."""
        return cls.numbered(Rule(id="", text=text, examples=tuple(examples)) for text, examples in rules)

    @classmethod
    def numbered(cls, rules: Iterable[Rule]) -> "RuleSet":
        """A first version, best supported first; the rules get the ids R1, R2, ... in place of theirs."""
        ordered = sorted(rules, key=lambda rule: -rule.support)
        renamed = tuple(rule.model_copy(update={"id": f"R{i}"}) for i, rule in enumerate(ordered, start=1))
        return cls(rules=renamed, last_id=len(renamed))

    def __len__(self) -> int:
        return len(self.rules)

    def __getitem__(self, id: str) -> Rule:
        by_id = {rule.id: rule for rule in self.rules}
        if id not in by_id:
            raise PLDError(f"There is no rule {id} in version {self.version}; it has {', '.join(by_id)}.")
        return by_id[id]

    def render(self, ids: bool = False) -> str:
        """The rules as the student reads them, a line each; with `ids`, as the teacher does. "" for no rules."""
        if not self.rules:
            return ""
        lines = [f"{rule.id}: {rule.text}" if ids else f"- {rule.text}" for rule in self.rules]
        return "\n".join(lines if ids else [HEADER, *lines])

    def within(self, max_tokens: int | None, count_tokens: Callable[[str], int]) -> "RuleSet":
        """The rules that fit a token budget, in the order of the prompt; one that does not fit any more is passed over.

        The rules whose use is measured are taken first, those with most use for a token in front; then those that were
        edited, which an edit's gain speaks for; then the best supported ones.
        """
        if max_tokens is None or count_tokens(self.render()) <= max_tokens:
            return self
        cost = {rule.id: count_tokens(f"\n- {rule.text}") for rule in self.rules}
        worth = {rule.id: rule.use.gain / cost[rule.id] if rule.use else float("-inf") for rule in self.rules}
        wanted = sorted(self.rules, key=lambda rule: (-worth[rule.id], not rule.edits, -rule.support))
        kept, used = set(), count_tokens(HEADER)
        for rule in wanted:
            if used + cost[rule.id] <= max_tokens:
                kept.add(rule.id)
                used += cost[rule.id]
        return self.keep(kept)

    def keep(self, ids: Collection[str]) -> "RuleSet":
        """The same version with only the rules that have these ids."""
        return self.model_copy(update={"rules": tuple(rule for rule in self.rules if rule.id in ids)})

    def measured(self, use: Mapping[str, RuleUse]) -> "RuleSet":
        """The same version, each rule with the use that is given for its id."""
        rules = tuple(rule.model_copy(update={"use": use.get(rule.id)}) for rule in self.rules)
        return self.model_copy(update={"rules": rules})

    def apply(self, edits: Sequence[Edit], examples: Sequence[str] = ()) -> "RuleSet":
        """The next version: the edits in their order, each in the history of the rules that it leaves behind.

        Args:
            edits: what to change.
            examples: ids of the examples that gave rise to the edits; added rules come from them.

        Raises:
            PLDError: an edit is incomplete, or names a rule that is not there (any more).
        """
        rules, version = list(self.rules), self.version + 1
        # A person may have numbered further rules by hand.
        last_id = max([self.last_id, *(int(rule.id[1:]) for rule in rules if _NUMBERED.fullmatch(rule.id))])
        for edit in edits:
            by_id = {rule.id: rule for rule in rules}
            if edit.fault:
                raise PLDError(f"An edit cannot be made: {edit.fault}.")
            if unknown := ", ".join(id for id in edit.ids if id not in by_id):
                raise PLDError(f"The edit '{edit.operation}' names {unknown}, which is not in the rule set.")
            touched = [by_id[id] for id in edit.ids]
            new_ids = [f"R{last_id + number}" for number in range(1, 1 + len(edit.wordings) - bool(touched))]
            last_id += len(new_ids)
            ids = [*edit.ids[:1], *new_ids][: len(edit.wordings)]
            rules = edit.kind.apply(edit, rules, _left_behind(edit, ids, touched, version, tuple(examples)))
        return RuleSet(version=version, rules=tuple(rules), last_id=last_id)

    def __str__(self) -> str:
        """An account of every rule: where it comes from, what it is good for, and what has been done to it."""
        return "\n".join(_account(rule) for rule in self.rules) or "no rules"

    def write(self, path: str | Path) -> None:
        """Write the rule set as indented JSON that a person can edit."""
        Path(path).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> "RuleSet":
        """Read what `write` wrote, and what a person made of it.

        Raises:
            PLDError: the file is not there, or is not a rule set; the message says where.
        """
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise PLDError(f"Cannot read the rule set {path}: {error.strerror}.") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise PLDError(f"{path} is not a rule set: {where}: {first['msg']}.") from error


def by_predictor(micro_rules: Iterable[MicroRule]) -> dict[str, list[MicroRule]]:
    """Micro-rules in their order, by the predictor that they are for."""
    grouped: dict[str, list[MicroRule]] = {}
    for rule in micro_rules:
        grouped.setdefault(rule.predictor, []).append(rule)
    return grouped


def _left_behind(
    edit: Edit, ids: Sequence[str], touched: Sequence[Rule], version: int, examples: tuple[str, ...]
) -> list[Rule]:
    """The rules that an edit makes of the rules that it touches."""
    past = tuple(step for rule in touched for step in rule.edits)
    applied = AppliedEdit(version=version, edit=edit, before=tuple(rule.text for rule in touched))
    joined = tuple(dict.fromkeys(example for rule in touched for example in rule.examples))
    authors = tuple(dict.fromkeys(author for rule in touched for author in rule.authors))
    return [
        Rule(id=id, text=text, examples=joined if touched else examples, edits=(*past, applied), authors=authors)
        for id, text in zip(ids, edit.wordings, strict=True)
    ]


def _account(rule: Rule) -> str:
    facts, use = [f"from {rule.support} example{'s' * (rule.support != 1)}"], rule.use
    if rule.authors:
        facts.append(f"by {', '.join(rule.authors)}")
    facts.append(
        f"use {use.gain:+.1%} ({use.helped} helped, {use.hurt} hurt of {use.n})" if use else "use not measured"
    )
    facts.append(f"edited {len(rule.edits)} times" if len(rule.edits) != 1 else "edited once")
    shown = ", ".join(rule.examples[:5]) + (", …" if rule.support > 5 else "")
    return f"{rule.id} {rule.text}\n   {'; '.join(facts)}" + (f"\n   examples: {shown}" if shown else "")
