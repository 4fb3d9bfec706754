"""Language models by name, as the command line takes them."""

import json
import os
from collections.abc import Sequence
from typing import Any, Literal

import dspy

from pld_dspy.errors import PLDError
from pld_dspy.rehearsal import rehearsal_lm


def language_model(
    role: Literal["teacher", "student"],
    name: str,
    api_base: str | None = None,
    settings: Sequence[str] = (),
    seed: int = 0,
) -> dspy.LM:
    """Make a language model.

    Args:
        role: with an `api_base`, the key comes from $PLD_TEACHER_API_KEY or $PLD_STUDENT_API_KEY, so that the key of a
            hosted service is never sent to another address. Without one, LiteLLM's own variables hold.
        name: any LiteLLM name, or "rehearsal" for the simulator.
        api_base: address of an OpenAI-compatible or other server.
        settings: "name=value" pairs that are sent with every request (temperature=0, max_tokens=1000), values in JSON
            or plain text; for the rehearsal, arguments of `rehearsal_lm` (error_rate=0.5).
        seed: of the rehearsal's guesses and errors.

    Raises:
        PLDError: a setting is not a pair, or the name or a setting is none that DSPy takes.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise PLDError(f"The {role}'s setting {setting!r} is not of the form name=value.")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    try:
        if name == "rehearsal":
            return rehearsal_lm(**{"seed": seed, **values})
        if api_base is not None:
            key = os.environ.get(f"PLD_{role.upper()}_API_KEY", "none")
            return dspy.LM(name, api_base=api_base, api_key=key, **values)
        return dspy.LM(name, **values)
    except (TypeError, ValueError) as error:
        raise PLDError(f"The {role} {name!r} cannot be set up: {error}.") from error
