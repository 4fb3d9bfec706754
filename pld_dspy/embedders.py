"""Texts as unit vectors. Any function from a list of n texts to an n x d array is an embedder, `dspy.Embedder` too."""

import os
from collections.abc import Callable
from textwrap import shorten
from typing import Any

import dspy
import numpy as np
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from pld_dspy.errors import PLDError
from pld_dspy.sentences import SentenceEmbedder

Embedder = Callable[[list[str]], np.ndarray]


def tfidf(texts: list[str], dimensions: int = 128) -> np.ndarray:
    """Embed by the words that texts share: TF-IDF and a truncated SVD. Needs no model and no network.

    Args:
        texts: n texts.
        dimensions: at most so many; fewer where there are fewer texts or words.

    Returns:
        float32 array, n x d; rows of length one (zero for a text without a word).
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    words = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    try:
        counts = words.fit_transform(texts)
    except ValueError:  # no text has a word that is not a stop word
        return np.zeros((len(texts), 1), dtype=np.float32)
    rank = min(dimensions, *(size - 1 for size in counts.shape))
    with np.errstate(invalid="ignore"):  # identical texts have no variance to explain
        vectors = TruncatedSVD(rank, random_state=0).fit_transform(counts) if rank > 1 else counts.toarray()
    return normalize(vectors).astype(np.float32)


def embedder(name: str, api_base: str | None = None) -> Embedder:
    """Make an embedder.

    Args:
        name: "tfidf", "hf:" and a Hugging Face name or folder for a model in this process, or the LiteLLM name of a
            hosted embedding model, as "openai/text-embedding-3-small". Neither of the last two is called here.
        api_base: address of an OpenAI-compatible or other server. With one, the key comes from $PLD_EMBEDDER_API_KEY,
            so that the key of a hosted service is never sent to another address. Without one, LiteLLM's own variables
            hold.

    Raises:
        PLDError: LiteLLM does not know the name, or an embedder in this process is given an address.
    """
    local = name == "tfidf" or name.startswith("hf:")
    if local and api_base is not None:
        raise PLDError(f"The embedder {name!r} runs in this process: leave out the address of a server.")
    if local:
        return tfidf if name == "tfidf" else SentenceEmbedder(name.removeprefix("hf:"))
    import litellm

    litellm.suppress_debug_info = True  # as DSPy sets it; else LiteLLM prints on standard output
    try:
        litellm.get_llm_provider(name, api_base=api_base)
    except Exception as error:
        raise PLDError(
            f"There is no embedder {name!r}: name tfidf, hf:MODEL or a model as LiteLLM does, openai/NAME for one "
            "behind an OpenAI-compatible server."
        ) from error
    if api_base is None:
        return _Hosted(name)
    return _Hosted(name, api_base=api_base, api_key=os.environ.get("PLD_EMBEDDER_API_KEY", "none"))


class _Hosted(dspy.Embedder):
    """A hosted model that is asked again where it was busy or away; LiteLLM's `num_retries` is not for embeddings."""

    @retry(
        retry=retry_if_exception(lambda error: _passing(getattr(error, "status_code", None))),
        wait=wait_exponential(max=20),
        stop=stop_after_attempt(4),
        reraise=True,
    )
    def __call__(self, *args: Any, **settings: Any) -> np.ndarray:
        return super().__call__(*args, **settings)


def _passing(status: Any) -> bool:
    return status in (408, 429) or (isinstance(status, int) and status >= 500)


def described_embedder(embedder: Embedder) -> str:
    """An embedder in words, without addresses and keys; no model is loaded."""
    if isinstance(embedder, SentenceEmbedder):
        return embedder.name
    if isinstance(embedder, dspy.Embedder):
        return embedder.model if isinstance(embedder.model, str) else described_embedder(embedder.model)
    return str(getattr(embedder, "__name__", type(embedder).__name__))


def check(embedder: Embedder) -> None:
    """Embed one text if a model does it, so that one that is missing shows before anything else is paid.

    Any other function may need many texts to embed one, as `tfidf` does; it is not called.

    Raises:
        PLDError: it is no function, or as `embed`.
    """
    if not callable(embedder):
        raise PLDError(f"The embedder {embedder!r} is no function: make one by name with `embedder({embedder!r})`.")
    if isinstance(embedder, SentenceEmbedder | dspy.Embedder):
        embed(["If this is embedded, then the model is there."], embedder)


def embed(texts: list[str], embedder: Embedder) -> np.ndarray:
    """Embed with any embedder and check what it returns.

    Returns:
        float32 array, n x d, rows of length one (zero where the embedder gives zeros); 0 x 0 for no texts.

    Raises:
        PLDError: the embedder fails, or returns another shape or what are not finite numbers.
    """
    if not texts:
        return np.zeros((0, 0), dtype=np.float32)
    name = described_embedder(embedder)
    try:
        vectors = _array(embedder(texts))
    except PLDError:
        raise
    except Exception as error:  # an embedder is anybody's code
        reason = shorten(str(error).strip().partition("\n")[0] or type(error).__name__, 200, placeholder="…")
        raise PLDError(f"The embedder {name} failed on {len(texts)} texts: {reason}") from error
    if vectors.dtype.kind not in "fiu":
        raise PLDError(f"The embedder {name} returned no array of numbers but {vectors.dtype}.")
    if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
        raise PLDError(f"The embedder {name} returned an array of shape {vectors.shape} for {len(texts)} texts.")
    vectors = vectors.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        where = f"in {bad.size} of {len(texts)} vectors, first for text {bad[0] + 1}"
        raise PLDError(f"The embedder {name} returned numbers that are not finite {where}.")
    vectors /= _nonzero(np.abs(vectors).max(axis=1, keepdims=True))  # first, so that no square is too large or small
    vectors /= _nonzero(np.linalg.norm(vectors, axis=1, keepdims=True))
    return vectors.astype(np.float32)


def _array(returned: Any) -> np.ndarray:
    if hasattr(returned, "detach"):  # a tensor of PyTorch, on any device and of any precision
        returned = returned.detach().cpu().double().numpy()
    return np.asarray(returned)


def _nonzero(lengths: np.ndarray) -> np.ndarray:
    return np.where(lengths == 0, 1, lengths)
