"""The operations on rules, edits as the teacher proposes them, and a rule with its history of edits."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, Field, computed_field, model_validator

from pld_dspy.errors import brief
from pld_dspy.plugins import installed, named
from pld_dspy.rules.wording import RuleText, Text


class Operation:
    """One kind of edit. A subclass says what the teacher reads about it, what an edit must name, and what it makes.

    An outsider's is known once it is passed as `Teacher(operations=[...])`, or registered under the entry-point group
    `pld_dspy.operations` and named with `--operation`; `pld_dspy.testing.check_operation` tries it.
    """

    name: ClassVar[str]
    usage: ClassVar[str]  # for the teacher: what to give, and when
    ids: ClassVar[tuple[int, int | None]]  # fewest and most rules that it names; None for any number
    texts: ClassVar[int] = 1  # none, one `text`, or the fewest `texts` that it brings
    ordered: ClassVar[bool] = False  # whether the order of the ids means something
    shortens: ClassVar[bool] = False  # whether it may be used to say the same in fewer words

    def wordings(self, edit: "Edit") -> tuple[str, ...]:
        """The texts of the rules that an edit leaves behind."""
        if self.texts > 1:
            return edit.texts
        return (edit.text,) if self.texts else ()

    def repeats(self, edit: "Edit", rules: "Sequence[Rule]") -> bool:
        """Whether an edit says only what the rules say already."""
        texts = [" ".join(text.split()) for text in edit.wordings]
        return len({*texts}) < len(texts) or bool({*texts} & {rule.text for rule in rules})

    def apply(self, edit: "Edit", rules: "Sequence[Rule]", new: "Sequence[Rule]") -> "list[Rule]":
        """Make an edit.

        Args:
            edit: without a fault, on rules that are there.
            rules: in the order in which the student reads them.
            new: a rule for each wording, with its id and history; the first has the id of the first rule named, if any.

        Returns:
            The rules that there are then: the new ones in the place of the first rule named, or at the end.
        """
        place = next((at for at, rule in enumerate(rules) if rule.id in edit.ids[:1]), len(rules))
        before, after = ([rule for rule in part if rule.id not in edit.ids] for part in (rules[:place], rules[place:]))
        return [*before, *new, *after]


class Revise(Operation):
    """A new wording for a rule."""

    name, usage, ids = "revise", "one id, and a new text that mends the rule", (1, 1)
    shortens = True


class Add(Operation):
    """A new rule, the last one."""

    name, usage, ids = "add", "no ids, and the text of a rule for a kind of question that no rule covers", (0, 0)


class Merge(Operation):
    """One rule in place of several."""

    name, usage, ids = "merge", "two or more ids, and one text that replaces these rules", (2, None)
    shortens = True

    def repeats(self, edit: "Edit", rules: "Sequence[Rule]") -> bool:
        """Whether another rule says so already; it may keep the wording of one that it merges."""
        return super().repeats(edit, [rule for rule in rules if rule.id not in edit.ids])


class Split(Operation):
    """Several rules in place of one."""

    name, usage, ids, texts = "split", "one id, and two or more texts that replace this rule", (1, 1), 2


class Delete(Operation):
    """Rules go."""

    name, usage, ids, texts = "delete", "the ids of rules that mislead", (1, None), 0


class Unknown(Operation):
    """What no operation is called: it changes nothing, and is a fault of the edit."""

    name, usage, ids, texts = "unknown", "", (0, None), 0


class Reorder(Operation):
    """Rules change places among themselves: into the order in which the edit names them."""

    name, usage = "reorder", "two or more ids, in the order in which the model should read these rules"
    ids, texts, ordered = (2, None), 0, True

    def repeats(self, edit: "Edit", rules: "Sequence[Rule]") -> bool:
        """Whether they have this order."""
        return [rule.id for rule in rules if rule.id in edit.ids] == [*edit.ids]

    def apply(self, edit: "Edit", rules: "Sequence[Rule]", new: "Sequence[Rule]") -> "list[Rule]":
        """The rules named, in their new order on the places that they had."""
        by_id = {rule.id: rule for rule in rules}
        moved = iter(edit.ids)
        return [by_id[next(moved)] if rule.id in edit.ids else rule for rule in rules]


BUILT_IN = (Revise(), Add(), Merge(), Split(), Delete(), Reorder())
OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in BUILT_IN}


def operation_of(name: str) -> Operation:
    """An operation by its name: one that is known, or what an installed package registers, a class or an instance.

    Raises:
        PLDError: there is none of this name.
    """
    operation = named("operations", name, OPERATIONS, "operation")
    return operation() if isinstance(operation, type) else operation


def _with_operations(schema: dict[str, Any]) -> None:
    """Tell models of the operations that are known by then, those of outsiders among them."""
    schema["enum"] = list(OPERATIONS)


_IDS = "ids of the rules it changes; none for add, one for revise and split, two or more for merge and reorder"


def _text(value: Any) -> str:
    """What models write for a text: nothing, or a number."""
    return "" if value is None else str(value)


def _name(value: Any) -> str:
    return _text(value).strip().casefold()


def _listed(value: Any) -> list[str]:
    """What models write for a list: one text by itself, or nothing."""
    several = value if isinstance(value, list | tuple) else [value]
    return [_text(one) for one in several if one not in (None, "")]


_ModelText = Annotated[Text, BeforeValidator(_text)]


class Edit(BaseModel, frozen=True):  # the teacher reads its docstring, too
    """One change to a rule set. Rules are named by their ids; a text that names none is no edit of them.

    `reorder` puts the rules that it names into the order in which it names them, on the places that they have. What
    is missing in an edit is its `fault` and no error, so that one bad edit does not lose the others of a reply.
    """

    operation: Annotated[Text, BeforeValidator(_name)] = Field(json_schema_extra=_with_operations)
    ids: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = Field(default=(), description=_IDS)
    text: _ModelText = Field(default="", description="the new wording, for revise, add and merge")
    texts: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = Field(
        default=(), description="the new wordings, two or more, for split only"
    )
    reason: _ModelText = Field(default="", description="which cases it mends and why")

    @model_validator(mode="before")
    @classmethod
    def _whatever(cls, value: Any) -> Any:
        """What is no edit at all becomes one that says so: it is a fault of its own, not of the reply."""
        if isinstance(value, Mapping):
            return {"operation": "", **value}
        return value if isinstance(value, cls) else {"operation": brief(value)}

    @property
    def kind(self) -> Operation:
        """What it does."""
        known = self.operation in OPERATIONS or self.operation in installed("operations")
        return operation_of(self.operation) if known else Unknown()

    @property
    def fault(self) -> str | None:
        """What keeps the edit from being made on any rule set, or None.

        >>> Edit(operation="merge", ids=("R1",), text="If the sky is red, expect wind.").fault
        'merge cannot name 1 rules'
        """
        if isinstance(self.kind, Unknown):
            return f"there is no operation {brief(self.operation)!r}; there are {', '.join(OPERATIONS)}"
        (fewest, most), texts = self.kind.ids, self.kind.texts
        named_rules = len(set(self.ids))
        if named_rules < max(fewest, len(self.ids)) or (most is not None and named_rules > most):
            return f"{self.operation} cannot name {len(self.ids)} rules"
        if len(self.wordings) < texts:
            return f"{self.operation} needs {'a text' if texts == 1 else 'two texts or more'}"
        return None

    @property
    def wordings(self) -> tuple[str, ...]:
        """The texts of the rules that it leaves behind; none for delete and reorder."""
        return tuple(text for text in self.kind.wordings(self) if text.strip())

    @property
    def gist(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """What it does, whatever the reason: equal for edits that come to the same."""
        ids = self.ids if self.kind.ordered else tuple(sorted(self.ids))
        texts = (self.text, *self.texts) if isinstance(self.kind, Unknown) else self.wordings
        return self.operation, ids, tuple(" ".join(text.split()).casefold() for text in texts)

    def __str__(self) -> str:
        head = " ".join([self.operation, *self.ids])
        return f"{head}: {' | '.join(self.wordings)}" if self.wordings else head


class AppliedEdit(BaseModel, frozen=True):
    """An accepted edit in a rule's history, with the wordings it replaced."""

    version: int
    edit: Edit
    before: tuple[str, ...] = ()


class RuleUse(BaseModel, frozen=True):
    """What a rule is good for, measured: how the validation score changes when it is taken out of the prompt."""

    gain: float  # mean validation score with the rule, less the one without it
    helped: int  # validation examples that score higher with it
    hurt: int  # and lower
    n: int  # validation examples


class Rule(BaseModel, frozen=True):
    """A rule of the student's prompt. `support` is the number of training examples that it came from."""

    id: str
    text: RuleText
    examples: tuple[str, ...] = ()
    edits: tuple[AppliedEdit, ...] = ()
    authors: tuple[str, ...] = ()  # people who wrote it, or one that became a part of it; none for a model's own
    use: RuleUse | None = None  # None while it is not measured

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def support(self) -> int:
        return len(self.examples)
