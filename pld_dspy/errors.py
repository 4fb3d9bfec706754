"""The one exception that a user of this package can cause and mend, and other errors on one line."""


class PLDError(ValueError):
    """Bad input or a model that cannot be used: one sentence that says what, where and what to do."""


def brief(error: object, limit: int = 200) -> str:
    """An error, or another text, on one line of at most so many characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= limit else f"{text[:limit]}…"
