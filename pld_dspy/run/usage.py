"""What the models were asked and what it cost."""

import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from dspy.utils.usage_tracker import UsageTracker
from pydantic import BaseModel

from pld_dspy.models import in_process, simulated

LOCAL = ("ollama/", "ollama_chat/")  # providers whose models LiteLLM knows to be free


class Usage(BaseModel):
    """Calls that reached a model (answers from the cache are not among them) and their tokens."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None  # None where LiteLLM knows no price

    def __add__(self, other: "Usage") -> "Usage":
        costs = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=sum(costs) if len(costs) == 2 else None,
        )


class Meter(UsageTracker):
    """DSPy's usage tracker for one role, shared by all threads.

    DSPy hands each worker thread a deep copy of the tracker; this one is its own copy, so that no call is lost.
    """

    def __init__(self, earlier: Mapping[str, Usage] | None = None, parent: "Meter | None" = None) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._parent = parent
        self._by_model: dict[str, Usage] = defaultdict(Usage, earlier or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> "Meter":
        return self

    def add_usage(self, lm: str, usage_entry: dict[str, Any]) -> None:
        """Count one call; DSPy calls this for every response that did not come from the cache."""
        with self._lock:
            usage = self._by_model[lm]
            usage.calls += 1
            usage.prompt_tokens += usage_entry.get("prompt_tokens") or 0
            usage.completion_tokens += usage_entry.get("completion_tokens") or 0
        if self._parent is not None:
            self._parent.add_usage(lm, usage_entry)

    def child(self) -> "Meter":
        """A meter for a part of the work, whose calls are counted here too."""
        return Meter(parent=self)

    def by_model(self) -> dict[str, Usage]:
        """Calls and tokens so far, by the name of the model; without costs."""
        with self._lock:
            return {model: usage.model_copy() for model, usage in self._by_model.items()}

    def total(self, model: str | None = None) -> Usage:
        """Everything counted so far, or of one model; no cost where one of the models has no known price."""
        counted = {name: usage for name, usage in self.by_model().items() if model in (None, name)}
        for name, usage in counted.items():
            usage.cost_usd = price(name, usage.prompt_tokens, usage.completion_tokens, usage.calls)
        return sum(counted.values(), start=Usage(cost_usd=0.0))


def price(model: str, prompt_tokens: int, completion_tokens: int, calls: int = 1) -> float | None:
    """US dollars by LiteLLM's price list for so many calls of mean length, without discounts for cached input.

    Returns:
        None where LiteLLM does not know the model; it takes some that are newer than its list to be free.
    """
    if in_process(model):
        return None
    import litellm

    litellm.suppress_debug_info = True  # it prints advice about models that it does not know
    try:
        counts = (prompt_tokens, completion_tokens)
        # with some models a long call costs more a token; LiteLLM takes whole numbers only
        means = [max(round(tokens / max(calls, 1)), 1) for tokens in counts]
        prices = litellm.cost_per_token(model, *means)
        cost = sum(price / mean * tokens for price, mean, tokens in zip(prices, means, counts, strict=True))
    except Exception:  # LiteLLM raises several unrelated types for a model that it cannot place
        return None
    return cost if cost or model in litellm.model_cost or model.startswith(LOCAL) else None


def count_tokens(model: str, text: str) -> int:
    """Tokens of a text, by OpenAI's tokenizers, which come with LiteLLM; four characters each for rehearsal models.

    For other models that is about right; their own tokenizers would have to be fetched from the network.
    """
    if simulated(model):
        return -(-len(text) // 4)
    import litellm

    litellm.disable_hf_tokenizer_download = True
    return litellm.token_counter(model, text=text)
