"""Settings: how the command line takes them, and what they may be."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pld_dspy.errors import PLDError
from pld_dspy.identity import fingerprint


def parse_settings(pairs: Sequence[str], whose: str) -> dict[str, Any]:
    """Read "name=value" pairs, values in JSON or plain text; True, False and None as Python writes them count as JSON.

    Raises:
        PLDError: one is not a pair; `whose` says whose setting it is, as in "The teacher's".
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise PLDError(f"{whose} setting {pair!r} is not of the form name=value.")
        try:
            values[name] = json.loads(text.lower() if text in ("True", "False") else "null" if text == "None" else text)
        except ValueError:
            values[name] = text
    return values


def one_of(value: str, allowed: Sequence[str], what: str) -> str:
    """`value`, if it is allowed.

    Raises:
        PLDError: it is not; `what` says of what it is one, as in "ScienceQA's modality".
    """
    if value not in allowed:
        raise PLDError(f"{what} is one of {', '.join(allowed)}, not {value!r}.")
    return value


def truth_value(value: object, name: str) -> bool:
    """`value`, if it is True or False.

    Raises:
        PLDError: it is neither; a text such as "no" would else count as true.
    """
    if not isinstance(value, bool):
        raise PLDError(f"The setting {name} is true or false, not {value!r}.")
    return value


def positive(value: object, name: str) -> None:
    """Check a setting that is a number of something, or None for no limit.

    Raises:
        PLDError: it is neither.
    """
    if value is not None and (type(value) is not int or value < 1):
        raise PLDError(f"The setting {name} is a whole number from 1 on, or null for no limit, not {value!r}.")


def without_addresses(text: str) -> str:
    """What Python says of objects, without where they lie in memory."""
    return re.sub(" at 0x[0-9A-Fa-f]+", "", text)


def worded(value: object) -> str:
    """A setting as text that is the same in each process: of an object what it looks like, without where it lies in
    memory, and a hash of its content, which its looks may hide."""
    text = without_addresses(str(value))
    return text if isinstance(value, str | int | float | None) else f"{text} {fingerprint(value)}"
