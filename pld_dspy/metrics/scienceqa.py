"""ScienceQA: accuracy of the chosen letter."""

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGH"
_ONLY_LETTER = re.compile(r"\W*([A-H])\W*", re.IGNORECASE)
_MARKED_LETTER = re.compile(r"\(([A-H])\)|\banswer(?: is)?:? *\(?([A-H])\b|^\W*([A-H])[.):]\s")


def parse_letter(text: str, choices: Sequence[str]) -> str | None:
    """The letter that an answer names, or None where it names none or no single one.

    A lone letter, "(B)", "B) ...", "The answer is B" and the text of a choice count; the letter must be one of the
    choices'.
    """
    letters, text = LETTERS[: len(choices)], text.strip()
    if match := _ONLY_LETTER.fullmatch(text):
        found = {match.group(1).upper()}
    elif matches := _MARKED_LETTER.findall(text):
        found = {letter for groups in matches for letter in groups if letter}
    else:
        spoken = text.strip(" .\"'").casefold()
        found = {
            letter for letter, choice in zip(letters, choices, strict=False) if choice.casefold().strip(" .") == spoken
        }
    return found.pop() if len(found) == 1 and found <= set(letters) else None
