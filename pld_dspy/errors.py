"""The one exception that a user of this package can cause and mend."""


class PLDError(ValueError):
    """Bad input or a model that cannot be used: one sentence that says what, where and what to do."""
