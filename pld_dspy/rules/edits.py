"""Changes to a rule set, as the teacher proposes them and as a rule's history keeps them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pld_dspy.rules.wording import Text

# Fewest and most rules that an operation names (None for any number), and fewest texts that it brings.
OPERATIONS: Mapping[str, tuple[int, int | None, int]] = {
    "revise": (1, 1, 1),
    "add": (0, 0, 1),
    "merge": (2, None, 1),
    "split": (1, 1, 2),
    "delete": (1, None, 0),
    "reorder": (2, None, 0),
}


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) and value else () if value in (None, "") else value


class Edit(BaseModel):
    """One change to a rule set. Rules are named by their ids; a text that names none is no edit of them.

    `reorder` puts the rules that it names into the order in which it names them, on the places that they have. What
    is missing in an edit is its `fault` and no error, so that one bad edit does not lose the others of a reply.
    """

    model_config = ConfigDict(frozen=True)

    operation: Literal["revise", "add", "merge", "split", "delete", "reorder"]
    ids: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        default=(),
        description="ids of the rules it changes; none for add, one for revise and split, two or more for merge and "
        "reorder",
    )
    text: Text = Field(default="", description="the new wording, for revise, add and merge")
    texts: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = Field(
        default=(), description="the new wordings, two or more, for split only"
    )
    reason: Text = Field(default="", description="which cases it mends and why")

    @property
    def fault(self) -> str | None:
        """What keeps the edit from being made on any rule set, or None."""
        fewest, most, texts = OPERATIONS[self.operation]
        named = len(set(self.ids))
        if named < fewest or named < len(self.ids) or (most is not None and named > most):
            return f"{self.operation} cannot name {len(self.ids)} rules"
        if len(self.wordings) < texts:
            return f"{self.operation} needs {'a text' if texts == 1 else 'two texts or more'}"
        return None

    @property
    def wordings(self) -> tuple[str, ...]:
        """The texts of the rules that it leaves behind; none for delete and reorder."""
        given = {"split": self.texts, "delete": (), "reorder": ()}.get(self.operation, (self.text,))
        return tuple(text for text in given if text.strip())

    @property
    def gist(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """What it does, whatever the reason: equal for edits that come to the same."""
        ids = self.ids if self.operation == "reorder" else tuple(sorted(self.ids))
        return self.operation, ids, tuple(" ".join(text.split()).casefold() for text in self.wordings)

    def __str__(self) -> str:
        said = " ".join([self.operation, *self.ids])
        return f"{said}: {' | '.join(self.wordings)}" if self.wordings else said


class AppliedEdit(BaseModel):
    """An accepted edit in a rule's history, with the wordings it replaced."""

    model_config = ConfigDict(frozen=True)

    version: int
    edit: Edit
    before: tuple[str, ...] = ()
