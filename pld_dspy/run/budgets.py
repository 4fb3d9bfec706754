"""How much a compile may take: caps, or one word that stands for them."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pld_dspy.errors import PLDError
from pld_dspy.run.runner import MAX_FAILED

Auto = Literal["light", "medium", "heavy"]


class _Size(NamedTuple):
    max_iterations: int
    num_candidates: int
    train: int  # calls for a training example and predictor
    val: int  # calls for a validation example and predictor


SIZES: dict[str, _Size] = {
    "light": _Size(max_iterations=1, num_candidates=1, train=3, val=8),
    "medium": _Size(max_iterations=3, num_candidates=3, train=4, val=25),
    "heavy": _Size(max_iterations=6, num_candidates=3, train=5, val=60),
}


class Limits(NamedTuple):
    """What one compile may take: a budget for data and a program of some size. None is no cap."""

    max_iterations: int
    num_candidates: int
    max_lm_calls: int | None
    max_cost: float | None
    max_failed: float = MAX_FAILED


@dataclass(frozen=True)
class Budget:
    """What a compile may take. When a cap is reached, the best program so far is returned.

    With t training and v validation examples and p predictors, "light" is one round, one clustering and at most
    p (3t + 8v) calls; "medium" three rounds, three clusterings and p (4t + 25v) calls; "heavy" six rounds, three
    clusterings and p (5t + 60v) calls. For 120 and 60 examples and one predictor that is 840, 1,980 and 4,200.

    Args:
        auto: sets those of the next three that are not given; without it there is no cap on the calls.
        max_iterations: rounds of conflict resolution; 0 leaves it out, with pruning. By default 3.
        num_candidates: clusterings whose rules are tried on the validation set, at most 3 (the default): the best of
            the search and the best with half and a quarter of its clusters; 1 leaves the choice to the search.
        max_lm_calls: calls of teacher and student together. A run that was interrupted goes on with what was left of
            them; one that had ended has them anew.
        max_cost: the same, in US dollars by LiteLLM's prices.
        max_failed: share of a step's questions, one at least, that a model may leave without a reply, also when it is
            asked again. With more the compile stops; started again with its `log_dir`, it goes on.

    Raises:
        PLDError: there is no such `auto`, or a number is out of its range.

    >>> Budget("light", max_iterations=2).limits(n_train=120, n_val=60, n_predictors=1)
    Limits(max_iterations=2, num_candidates=1, max_lm_calls=840, max_cost=None, max_failed=0.1)
    """

    auto: Auto | None = None
    max_iterations: int | None = None
    num_candidates: int | None = None
    max_lm_calls: int | None = None
    max_cost: float | None = None
    max_failed: float = MAX_FAILED

    def __post_init__(self) -> None:
        if self.auto is not None and self.auto not in SIZES:
            raise PLDError(f"auto is {', '.join(SIZES)} or None, not {self.auto!r}.")
        if self.num_candidates not in (None, 1, 2, 3):
            raise PLDError(f"num_candidates is 1, 2 or 3, not {self.num_candidates!r}.")
        rounds = self.max_iterations
        if rounds is not None and (not isinstance(rounds, int) or rounds < 0):
            raise PLDError(f"max_iterations is a whole number from 0 on, not {rounds!r}.")
        if self.max_lm_calls is not None and self.max_lm_calls < 1:
            raise PLDError(f"max_lm_calls is at least 1, or None for no cap, not {self.max_lm_calls!r}.")
        if not 0 <= self.max_failed <= 1:
            raise PLDError(f"max_failed is a share from 0 to 1, not {self.max_failed!r}.")
        if self.max_cost is not None and self.max_cost < 0:
            raise PLDError(f"max_cost is at least 0, or None for no cap, not {self.max_cost!r}.")

    def limits(self, n_train: int, n_val: int, n_predictors: int) -> Limits:
        """What is given holds, `auto` sets the rest."""
        size = SIZES[self.auto or "medium"]
        calls = n_predictors * (size.train * n_train + size.val * n_val) if self.auto else None
        given = {name: value for name in Limits._fields if (value := getattr(self, name)) is not None}
        return Limits(size.max_iterations, size.num_candidates, calls, None)._replace(**given)
