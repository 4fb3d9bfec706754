"""Prompts as text: what a program's have in common from their start, and what they tell its predictors."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import dspy
from dspy.lm15 import ImagePart, Request

from pld_dspy.experiment.plan import TOKENS_PER_IMAGE
from pld_dspy.optimizers.results import PredictorPrompt

IN_JSON = "Outputs will be a JSON object"  # as DSPy's JSONAdapter writes it
_OPEN, _CLOSE = "\ue000", "\ue001"  # around a picture's hash; from the private use area
_HASH = 16
_IMAGE_CHARACTERS = 4 * TOKENS_PER_IMAGE  # a token is about four characters

PredictorKey = tuple[str, ...]  # what tells a predictor from the others of its program
Messages = Sequence[dict[str, Any]]


def shared(prompts: Mapping[PredictorKey, Sequence[str]]) -> float:
    """The share of all prompts, as `flattened` and by predictor, that is the same from their start: what can be cached.

    A predictor that was asked once only shares nothing, since nothing can be said of it.
    """
    common = sum(len(texts) * _length(os.path.commonprefix(texts)) for texts in prompts.values() if len(texts) > 1)  # noqa: RUF071
    return common / max(sum(_length(text) for texts in prompts.values() for text in texts), 1)


def flattened(prompt: Any, messages: Any) -> tuple[str, int]:
    """A request as one text, with a short hash in place of each picture, and the number of its pictures.

    It is a text or a `dspy.lm15.Request`, as `dspy.LM` takes it, or chat messages where there is no prompt.
    """
    if isinstance(prompt, Request):
        contents = [prompt.system or "", *(message.parts for message in prompt.messages)]
    elif messages:
        contents = [message.get("content") or "" for message in messages]
    else:
        contents = [str(prompt)]
    texts = [_text(part) for content in contents for part in ([content] if isinstance(content, str) else content)]
    return "\n".join(texts), sum(text.startswith(_OPEN) for text in texts)


def predictor_key(signature: type[dspy.Signature]) -> PredictorKey:
    """What tells a predictor from the others of its program."""
    return signature.instructions, *signature.fields


def asking_predictor(text: str) -> PredictorKey:
    """The key of the predictor that asks with this text now; that of DSPy's second try in JSON is another."""
    asking = [module for module in dspy.settings.caller_modules or () if isinstance(module, dspy.Predict)]
    key = predictor_key(asking[-1].signature) if asking else ()
    return (*key, IN_JSON) if IN_JSON in text else key


def program_prompts(program: dspy.Module, first_messages: Mapping[PredictorKey, Messages]) -> list[PredictorPrompt]:
    """The instructions of a compiled program's predictors, and the demonstrations that a recorder saw sent."""
    prompts = []
    for name, predictor in program.named_predictors():
        sent = list(first_messages.get(predictor_key(predictor.signature), ()))[1:-1]  # without system's and question
        pairs = [flattened(None, sent[place : place + 2]) for place in range(0, len(sent), 2)]
        task, texts = predictor.signature.instructions, [text for text, _ in pairs]
        images = sum(count for _, count in pairs)
        prompts.append(PredictorPrompt(predictor=name, instructions=task, demonstrations=texts, images=images))
    return prompts


def _text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, ImagePart):
        picture = part.data or part.url
    elif not isinstance(part, dict):
        return str(getattr(part, "text", ""))
    elif str(part.get("type")).endswith("image_url") or part.get("type") == "input_image":
        picture = part.get("image_url")
    else:
        return str(part.get("text", ""))
    return f"{_OPEN}{hashlib.sha256(str(picture).encode()).hexdigest()[:_HASH]}{_CLOSE}"


def _length(text: str) -> int:
    """Characters, those of pictures included."""
    return len(text) + text.count(_CLOSE) * (_IMAGE_CHARACTERS - _HASH - 2)
