"""Requests to a model in this process: what is read of them, and the text that its chat template makes."""

import base64
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from typing import Any

from dspy import lm15
from PIL import Image

from pld_dspy.pictures import as_seen, open_picture

Chat = list[dict[str, Any]]  # turns, each with its role and its parts

_SETTINGS = {"max_tokens", "temperature", "top_p", "top_k", "stop", "seed", "logprobs"}


@dataclass(eq=False)
class Call:
    """A request in the queue, and the promise of its answer."""

    model: str
    messages: Chat
    images: list[Image.Image]
    config: lm15.Config
    answer: Future[lm15.Response] = field(default_factory=Future)

    @property
    def key(self) -> object:
        """Calls with equal keys may share a batch."""
        return self if self.config.seed is not None else (self.config, bool(self.images))


def read(request: lm15.Request) -> Call:
    """A request's turns and pictures.

    Raises:
        dspy.lm15.ConfigurationError: it has a setting that a model in this process does not take.
        dspy.lm15.InvalidRequestError: a part is neither text nor a readable image.
    """
    config = request.config
    settings = {setting.name for setting in fields(config) if getattr(config, setting.name)}
    refused = [*sorted(settings - _SETTINGS), *(["tools"] if request.tools else [])]
    if refused:
        raise lm15.ConfigurationError(f"A model in this process takes no {', '.join(refused)}: leave it out.")
    images: list[Image.Image] = []

    def content(part: Any) -> dict[str, Any]:
        if isinstance(part, lm15.TextPart):
            return {"type": "text", "text": part.text}
        if not isinstance(part, lm15.ImagePart) or part.data is None:
            raise lm15.InvalidRequestError(f"A message may hold text and images as data, no other {part.type}.")
        try:
            images.append(as_seen(open_picture(base64.b64decode(part.data))).convert("RGB"))
        except ValueError as error:
            raise lm15.InvalidRequestError(f"An image cannot be read: it {error}.") from error
        return {"type": "image"}

    system = [lm15.TextPart(request.system)] if isinstance(request.system, str) else request.system or ()
    turns = [("system", system)] if system else []
    turns += [(message.role, message.parts) for message in request.messages]
    messages = [{"role": role, "content": [content(part) for part in parts]} for role, parts in turns]
    if config.temperature == 0:
        config = replace(config, seed=None)
    return Call(request.model, messages, images, config)


def render(reader: Any, tokenizer: Any, chat: Chat, sees: bool) -> str:
    """The text that a chat template makes of a chat, with all that the system turn says.

    Templates without a place for a system turn (as those of Gemma 2, Mistral 7B, and Llama 3.2 Vision beside pictures)
    refuse it or drop it in silence; it then stands in front of the first user turn. What looks like one of the model's
    special tokens in a text is text, as "<image>" in a question: a space breaks it.

    Args:
        reader: a processor or a tokenizer with a chat template.
        tokenizer: knows the special tokens.
        chat: the turns.
        sees: whether the template takes a turn's parts, as those of models that see, or one text.

    Raises:
        ValueError: the template fails, or drops the system turn wherever it stands.
    """
    special = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    chat = [{**turn, "content": [_unspecial(part, special) for part in turn["content"]]} for turn in chat]
    problem = "drops the instructions"
    for one in (chat, _folded(chat)):
        turns = one if sees else [{**turn, "content": _text(turn)} for turn in one]
        try:
            text = str(reader.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # a template's own, or Jinja's
            problem = f"cannot be used: {str(error).rstrip('.')}"
            continue
        if chat[0]["role"] != "system" or _squeezed(_text(chat[0])) in _squeezed(text):
            return text
    raise ValueError(problem)


def _folded(chat: Chat) -> Chat:
    if len(chat) < 2 or chat[0]["role"] != "system":
        return chat
    instructions, first, *others = chat
    parts = [*instructions["content"], {"type": "text", "text": "\n\n"}, *first["content"]]
    return [{**first, "content": parts}, *others]


def _unspecial(part: dict[str, Any], special: list[str]) -> dict[str, Any]:
    text = part.get("text", "")
    for token in special:
        text = text.replace(token, f"{token[:1]} {token[1:]}") if len(token) > 1 else text
    return {**part, "text": text} if "text" in part else part


def _text(turn: dict[str, Any]) -> str:
    return "".join(part.get("text", "") for part in turn["content"])


def _squeezed(text: str) -> str:
    return "".join(text.split())
