"""Models of Hugging Face's transformers in this process, as an engine of `dspy.LM`."""

import contextlib
import functools
import math
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal

from dspy import lm15
from dspy.clients.engines.base import validate_request

from pld_dspy.models.chats import Call, read, render

MAX_TOKENS = 1024  # of an answer, where the request does not say
_WAIT = 0.002  # seconds that a batch with room waits for one more request


_Queue = queue.SimpleQueue[Call | None]  # None ends it


class TransformersEngine:
    """A vision-language or text model that transformers loads, as an engine: `dspy.LM(name, engine=...)`.

    The model is loaded once, at the first call, and shared by all copies of the language model. Calls from many threads
    are answered in batches.

    - A request may set max_tokens (else 1024), temperature (0 is greedy), top_p, top_k, stop, seed and logprobs; any
      other setting is refused. What it leaves open, and penalties, are the model's own (generation_config.json).
    - A sampled request with a seed runs in a batch of its own: the same request gets the same text again, whatever else
      is asked meanwhile, on the same device with the same versions, unless other threads draw from PyTorch's generator.
      DSPy asks for `n` answers one after the other with the same seed, so they are all alike. Greedy requests ignore
      the seed and are batched; below float32, rounding that depends on the batch may now and then change a word.
    - With `dspy.LM(..., logprobs=True, top_logprobs=5)` every output is a dictionary; output["logprobs"]["content"] has
      an item for each generated token, the one that ends the text included, with "token", "logprob" and "top_logprobs",
      likeliest first. They are the model's, before temperature, top_p and penalties.

    Args:
        model: a Hugging Face name, or a folder with a saved model; it needs a chat template.
        device: as PyTorch names it; "auto" for CUDA, else MPS, else the CPU.
        dtype: of the weights, as "bfloat16"; "auto" for the checkpoint's own, but float32 on the CPU.
        batch_size: requests that are answered together at most.

    Raises:
        ValueError: no model is named, or the batch has no place.
    """

    def __init__(self, model: str, device: str = "auto", dtype: str = "auto", batch_size: int = 8) -> None:
        if not model or batch_size < 1:
            raise ValueError(f"a model needs a name and a batch of at least 1, not {model!r} and {batch_size}")
        self.model, self.device, self.dtype, self.batch_size = model, device, dtype, batch_size
        self._calls: _Queue | None = None
        self._lock = threading.Lock()

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Answer one request.

        Raises:
            dspy.lm15.ConfigurationError: the model cannot be loaded, has no chat template, or takes no such setting.
            dspy.lm15.InvalidRequestError: a part of a message is neither text nor a readable image.
            dspy.lm15.ContextLengthError: the prompt and the longest answer do not fit into the model's context.
        """
        validate_request(request)
        call = read(request)
        with self._lock:
            if self._calls is None:
                self._calls = queue.SimpleQueue()
                threading.Thread(target=self._work, args=(self._calls,), daemon=True).start()
            self._calls.put(call)
        return call.answer.result()

    def stream(self, request: lm15.Request) -> Any:
        """The same answer as a stream of events, once it is complete."""
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Free the model after the calls that wait; a later call loads it again."""
        with self._lock:
            if self._calls is not None:
                self._calls.put(None)
            self._calls = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "TransformersEngine":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).load_state, (self.dump_state(),)

    def dump_state(self) -> dict[str, Any]:
        """What `load_state` needs, so that programs that hold this model can be saved; no weights."""
        return {"model": self.model, "device": self.device, "dtype": self.dtype, "batch_size": self.batch_size}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> "TransformersEngine":
        """Make the engine that `dump_state` described."""
        return cls(**state)

    def _work(self, calls: _Queue) -> None:
        load = functools.cache(lambda: _Loaded(self.model, self.device, self.dtype))
        gathered: list[Call | None] = []
        while None not in gathered:
            gathered = [calls.get()]
            with contextlib.suppress(queue.Empty):
                while gathered[-1] is not None and len(gathered) < self.batch_size:
                    gathered.append(calls.get(timeout=_WAIT))
            batches: dict[object, list[Call]] = defaultdict(list)
            for call in filter(None, gathered):
                batches[call.key].append(call)
            for batch in batches.values():
                _deliver(load, batch)


def _deliver(load: Callable[[], "_Loaded"], batch: list[Call]) -> None:
    try:
        for call, response in zip(batch, load().answer(batch), strict=True):
            call.answer.set_result(response)
        return
    except Exception as error:
        if len(batch) == 1 or isinstance(error, lm15.ConfigurationError):
            for call in batch:
                call.answer.set_exception(error)
            return
    for call in batch:  # one by one, so that the error reaches only the caller whose request it is
        _deliver(load, [call])


class _Loaded:
    """The model in memory, for one thread."""

    def __init__(self, name: str, device: str, dtype: str) -> None:
        import torch
        import transformers

        if device == "auto":
            device = str(torch.accelerator.current_accelerator(check_available=True) or "cpu")
        if dtype == "auto" and device == "cpu":
            dtype = "float32"  # many processors are slow at anything else
        try:
            config = transformers.AutoConfig.from_pretrained(name)
            self.sees = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
            reader: Any = transformers.AutoProcessor if self.sees else transformers.AutoTokenizer
            writer: Any = transformers.AutoModelForImageTextToText if self.sees else transformers.AutoModelForCausalLM
            self.reader = reader.from_pretrained(name)
            self.model = writer.from_pretrained(name, dtype=dtype).to(device)
        except Exception as error:  # hub, checkpoint, missing packages and device raise unrelated types
            reason = str(error).strip().partition("\n")[0]
            missing = isinstance(error, ImportError)
            hint = "install what it needs" if missing else "name a saved model's folder or a Hugging Face model"
            raise lm15.ConfigurationError(f"The model {name!r} cannot be loaded ({hint}): {reason}") from error
        if self.reader.chat_template is None:
            raise lm15.ConfigurationError(f"The model {name!r} has no chat template: take its chat version.")
        self.name = name
        self.tokenizer = self.reader.tokenizer if self.sees else self.reader
        self.context = getattr(config.get_text_config(), "max_position_embeddings", math.inf)
        self.defaults = self.model.generation_config
        self.defaults.max_length = None  # next to max_new_tokens it would only cause a warning
        end = self.tokenizer.eos_token_id if self.defaults.eos_token_id is None else self.defaults.eos_token_id
        self.ends: list[int] = end if isinstance(end, list) else [end]
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token_id = self.ends[0]

    def answer(self, calls: list[Call]) -> list[lm15.Response]:
        """Answer calls that may share a batch."""
        import torch
        from transformers import StoppingCriteriaList

        config = calls[0].config
        new = config.max_tokens or MAX_TOKENS
        inputs = self._tokenize(calls)
        width = inputs["input_ids"].shape[1]
        lengths = inputs["attention_mask"].sum(1).tolist()
        if max(lengths) + new > self.context:
            needed = f"{max(lengths)} tokens of prompt and {new} of answer"
            raise lm15.ContextLengthError(f"{needed} are more than the {self.context} of the model {self.name!r}.")

        def stopped(tokens: Any, scores: Any, **_: Any) -> Any:
            texts = self.tokenizer.batch_decode(tokens[:, width:], skip_special_tokens=True)
            return torch.tensor([any(stop in text for stop in config.stop) for text in texts], device=tokens.device)

        with torch.random.fork_rng(list(range(torch.cuda.device_count())), enabled=config.seed is not None):
            if config.seed is not None:
                torch.manual_seed(config.seed)
            written = self.model.generate(
                **inputs,
                **self._sampling(config),
                max_new_tokens=new,
                eos_token_id=self.ends,
                pad_token_id=self.tokenizer.pad_token_id,
                stopping_criteria=StoppingCriteriaList([stopped] if config.stop else []),
                return_dict_in_generate=True,
                output_logits=config.logprobs is not None,
            )
        responses = []
        for row, (call, length) in enumerate(zip(calls, lengths, strict=True)):
            tokens, text, reason = self._cut(written.sequences[row, width:].tolist(), config.stop)
            logprobs = None
            if config.logprobs is not None:
                scores = torch.stack([logits[row] for logits in written.logits[: len(tokens)]]).log_softmax(-1)
                logprobs = [self._token(*pair, config.logprobs) for pair in zip(tokens, scores, strict=True)]
            usage = lm15.Usage(length, len(tokens))
            responses.append(lm15.Response(None, call.model, lm15.Message.assistant(text), reason, usage, logprobs))
        return responses

    def _tokenize(self, calls: list[Call]) -> Any:
        images = [call.images for call in calls if call.images]
        if images and not self.sees:
            raise lm15.ConfigurationError(f"The model {self.name!r} reads text only: take one that sees images.")
        try:
            texts = [render(self.reader, self.tokenizer, call.messages, self.sees) for call in calls]
        except ValueError as error:
            raise lm15.ConfigurationError(f"The chat template of the model {self.name!r} {error}.") from error
        start = self.tokenizer.bos_token
        inputs = self.reader(
            text=texts,
            **({"images": images} if images else {}),
            # The template of a text model writes all special tokens; another's may leave the first to the processor.
            add_special_tokens=self.sees and not (start and texts[0].startswith(start)),
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
        return inputs.to(self.model.device, self.model.dtype) if self.sees else inputs.to(self.model.device)

    def _sampling(self, config: lm15.Config) -> dict[str, Any]:
        if not (self.defaults.do_sample if config.temperature is None else config.temperature):
            return {"do_sample": False}
        top_k = config.top_k or self.defaults.top_k or 0  # without a number, only the 50 likeliest tokens are drawn
        settings = {"temperature": config.temperature, "top_p": config.top_p, "top_k": top_k}
        return {"do_sample": True, **{name: value for name, value in settings.items() if value is not None}}

    def _cut(self, tokens: list[int], stops: Sequence[str]) -> tuple[list[int], str, Literal["stop", "length"]]:
        def text(count: int | None) -> str:
            return str(self.tokenizer.decode(tokens[:count], skip_special_tokens=True))

        count = next((n for n, token in enumerate(tokens, 1) if token in self.ends), None)
        whole = text(count)
        ends = [whole.index(stop) for stop in stops if stop in whole]
        if ends:
            count = next(n for n in range(1, len(tokens) + 1) if any(stop in text(n) for stop in stops))
        return tokens[:count], whole[: min(ends, default=None)], "stop" if count else "length"

    def _token(self, token: int, scores: Any, top: int) -> lm15.TokenLogprob:
        values, ids = scores.topk(min(top, len(scores)))
        best = zip(ids.tolist(), values.tolist(), strict=True)
        others = tuple(lm15.TopLogprob(self.tokenizer.decode([i]), value, token_id=i) for i, value in best)
        return lm15.TokenLogprob(self.tokenizer.decode([token]), scores[token].item(), token_id=token, top=others)
