"""Changes to a rule set, as the teacher proposes them and as a rule's history keeps them."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pld_dspy.wording import Text

# Fewest and most rules that an operation names, and fewest and most texts that it brings; None for any number.
OPERATIONS: Mapping[str, tuple[tuple[int, int | None], tuple[int, int | None]]] = {
    "revise": ((1, 1), (1, 1)),
    "add": ((0, 0), (1, 1)),
    "merge": ((2, None), (1, 1)),
    "split": ((1, 1), (2, None)),
    "delete": ((1, None), (0, 0)),
    "reorder": ((2, None), (0, 0)),
}


class Edit(BaseModel):
    """One change to a rule set. Rules are named by their ids; a text that names none is no edit of them.

    `reorder` puts the rules that it names into the order in which it names them, on the places that they have.
    """

    model_config = ConfigDict(frozen=True)

    operation: Literal["revise", "add", "merge", "split", "delete", "reorder"]
    ids: tuple[str, ...] = Field(
        default=(),
        description="ids of the rules it changes; none for add, one for revise and split, two or more for merge and "
        "reorder",
    )
    text: Text = Field(default="", description="the new wording, for revise, add and merge")
    texts: tuple[Text, ...] = Field(default=(), description="the new wordings, two or more, for split only")
    reason: Text = Field(default="", description="which cases it mends and why")

    @model_validator(mode="after")
    def _complete(self) -> "Edit":
        (fewest, most), (fewest_texts, most_texts) = OPERATIONS[self.operation]
        named = len(set(self.ids))
        if named < fewest or named < len(self.ids) or (most is not None and named > most):
            raise ValueError(f"{self.operation} cannot name {len(self.ids)} rules")
        if len(self.wordings) < fewest_texts or (most_texts and len(self.wordings) > most_texts):
            raise ValueError(f"{self.operation} needs {'a text' if fewest_texts == 1 else 'two texts or more'}")
        return self

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
