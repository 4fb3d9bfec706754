"""What the prompts of a program have in common from their start, which a provider need not read again."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dspy.lm15 import ImagePart, Request

from pld_dspy.experiment.plan import TOKENS_PER_IMAGE

_OPEN, _CLOSE = "\ue000", "\ue001"  # around a picture's hash; from the private use area
_HASH = 16
_IMAGE_CHARACTERS = 4 * TOKENS_PER_IMAGE  # a token is about four characters


@dataclass
class _Prompts:
    prefix: str
    characters: int = 0
    n: int = 0


class Prefixes:
    """The longest common start of each predictor's prompts; not safe from many threads without a lock around it."""

    def __init__(self) -> None:
        self._by_predictor: dict[Sequence[str], _Prompts] = {}

    def add(self, predictor: Sequence[str], text: str) -> None:
        """Take a prompt into account.

        Args:
            predictor: what tells it from others.
            text: a prompt of its, as `flattened` returns it.
        """
        seen = self._by_predictor.setdefault(predictor, _Prompts(text))
        seen.prefix = os.path.commonprefix([seen.prefix, text])  # noqa: RUF071 - characters are meant
        seen.characters += _length(text)
        seen.n += 1

    def share(self) -> float:
        """The share of all prompts that is common; pictures count as `TOKENS_PER_IMAGE` tokens of four characters.

        0 where a predictor was asked once only, of which nothing can be said.
        """
        every = self._by_predictor.values()
        common = sum(seen.n * _length(seen.prefix) for seen in every if seen.n > 1)
        return common / max(sum(seen.characters for seen in every), 1)


def flattened(prompt: Any, messages: Any) -> tuple[str, int]:
    """A request as one text, with a short hash in place of each picture, and the number of its pictures.

    Args:
        prompt: a text or a `dspy.lm15.Request`, as `dspy.LM` takes it.
        messages: chat messages, where there is no prompt.
    """
    if isinstance(prompt, Request):
        system = prompt.system or ""
        parts = [system] if isinstance(system, str) else list(system)
        parts += [part for message in prompt.messages for part in message.parts]
    elif messages:
        parts = [part for message in messages for part in _content(message)]
    else:
        parts = [str(prompt)]
    texts = [_text(part) for part in parts]
    return "\n".join(texts), sum(text.startswith(_OPEN) for text in texts)


def _content(message: dict[str, Any]) -> list[Any]:
    content = message.get("content") or ""
    return [content] if isinstance(content, str) else list(content)


def _text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, ImagePart):
        return _picture(str(part.data or part.url))
    if not isinstance(part, dict):
        return str(getattr(part, "text", ""))
    if str(part.get("type")).endswith("image_url") or part.get("type") == "input_image":
        return _picture(str(part.get("image_url")))
    return str(part.get("text", ""))


def _picture(content: str) -> str:
    return f"{_OPEN}{hashlib.sha256(content.encode()).hexdigest()[:_HASH]}{_CLOSE}"


def _length(text: str) -> int:
    """Characters, those of pictures included."""
    return len(text) + text.count(_CLOSE) * (_IMAGE_CHARACTERS - _HASH - 2)
