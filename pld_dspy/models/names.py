"""Language models by name, as the command line takes them."""

import os
from collections.abc import Sequence
from typing import Literal

import dspy
from dspy.lm15 import Config
from dspy.utils.exceptions import DSPyError

from pld_dspy.errors import PLDError
from pld_dspy.identity import SECRET
from pld_dspy.models.transformers_engine import TransformersEngine
from pld_dspy.settings import parse_settings

CHECKED = ("temperature", "top_p", "max_tokens")  # settings whose values DSPy can refuse before the first call
ENGINE = ("device", "dtype", "batch_size")  # settings of `TransformersEngine`


def simulated(model: str) -> bool:
    """Whether a model's name is that of the rehearsal, the simulator."""
    return model.startswith("rehearsal")


def in_process(model: str) -> bool:
    """Whether a model runs in this process and has no price: the rehearsal, "hf:MODEL" or "ocr"."""
    return simulated(model) or model.startswith("hf:") or model == "ocr"


def language_model(
    role: Literal["teacher", "student", "describer", "judge"],
    name: str,
    api_base: str | None = None,
    settings: Sequence[str] = (),
    seed: int = 0,
) -> dspy.LM:
    """Make a language model.

    Args:
        role: with an `api_base`, the key comes from $PLD_{ROLE}_API_KEY, as $PLD_STUDENT_API_KEY, so that the key of a
            hosted service is never sent to another address. Without one, LiteLLM's own variables hold.
        name: any LiteLLM name, "hf:" and a Hugging Face name or folder for a model in this process, or "rehearsal" for
            the simulator.
        api_base: address of an OpenAI-compatible or other server.
        settings: "name=value" pairs that are sent with every request (temperature=0, max_tokens=1000), values in JSON
            or plain text; for a model in this process also `TransformersEngine`'s device, dtype and batch_size; for
            the rehearsal, arguments of `rehearsal_lm` (error_rate=0.5).
        seed: of the rehearsal's guesses and errors.

    Raises:
        PLDError: a setting is not a pair, or the name or a setting is none that DSPy takes.
    """
    values = parse_settings(settings, f"The {role}'s")
    if name.startswith("hf:") and api_base is not None:
        raise PLDError(f"The {role} {name!r} runs in this process: leave out the address of a server.")
    try:
        Config(**{setting: values[setting] for setting in CHECKED if setting in values})
        if name == "rehearsal":
            from pld_dspy.rehearsal import rehearsal_lm

            return rehearsal_lm(**{"seed": seed, **values})
        if name.startswith("hf:"):
            own = {setting: values.pop(setting) for setting in ENGINE if setting in values}
            model = os.path.expanduser(name.removeprefix("hf:")).rstrip("/")
            model = os.path.realpath(model) if os.path.isdir(model) else model
            # DSPy's cache goes by the name, so the name has to tell models apart.
            precision = f"@dtype={own['dtype']}" if "dtype" in own else ""
            return dspy.LM(f"hf:{model}{precision}", engine=TransformersEngine(model, **own), **values)
        if api_base is not None:
            key = os.environ.get(f"PLD_{role.upper()}_API_KEY", "none")
            return dspy.LM(name, api_base=api_base, api_key=key, **values)
        return dspy.LM(name, **values)
    except (TypeError, ValueError, DSPyError) as error:
        raise PLDError(f"The {role} {name!r} cannot be set up: {error}.") from error


def described(lm: dspy.BaseLM) -> str:
    """A model and the settings it is asked with, without addresses and keys."""
    settings = {name: value for name, value in sorted(lm.kwargs.items()) if value is not None and name not in SECRET}
    return " ".join([lm.model, *(f"{name}={value}" for name, value in settings.items())])
