"""The one exception that a user of this package can cause and mend, and other errors on one line."""


class PLDError(ValueError):
    """Bad input or a model that cannot be used: one sentence that says what, where and what to do."""


class ExampleError(PLDError):
    """What is wrong with one example only: the others may go on."""


class OfNoUse(PLDError):
    """A model answers, but nothing can be made of its answers."""


def brief(error: object, limit: int = 200) -> str:
    """An error, or another text, on one line of at most so many characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= limit else f"{text[:limit]}…"


def reason(error: Exception) -> str:
    """What an error of anybody's code says, or else its type, as the end of a sentence."""
    return brief(str(error).strip() or type(error).__name__).rstrip(".")
