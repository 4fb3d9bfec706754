"""How much a compile may take: caps, or one word that stands for them."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pld_dspy.errors import PLDError

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


@dataclass(frozen=True)
class Budget:
    """What a compile may take. When a cap is reached, the best program so far is returned.

    Attributes:
        max_iterations: rounds of conflict resolution; 0 leaves it out.
        num_candidates: clusterings whose rules are tried on the validation set, 1 to 3.
        max_lm_calls: calls of teacher and student together; None for no cap.
        max_cost: US dollars by LiteLLM's prices; None for no cap.
    """

    max_iterations: int = 3
    num_candidates: int = 3
    max_lm_calls: int | None = None
    max_cost: float | None = None


def budget(
    auto: Auto | None,
    n_train: int,
    n_val: int,
    n_predictors: int,
    *,
    max_iterations: int | None = None,
    num_candidates: int | None = None,
    max_lm_calls: int | None = None,
    max_cost: float | None = None,
) -> Budget:
    """Put a budget together: what is given holds, `auto` sets the rest, and without it there is no cap on the calls.

    With t training and v validation examples and p predictors, "light" is one round, one clustering and at most
    p (3t + 8v) calls; "medium" three rounds, three clusterings and p (4t + 25v) calls; "heavy" six rounds, three
    clusterings and p (5t + 60v) calls. For 120 and 60 examples and one predictor that is 840, 1,980 and 4,200.

    Raises:
        PLDError: there is no such `auto`, or a number is out of its range.
    """
    if auto is not None and auto not in SIZES:
        raise PLDError(f"auto is {', '.join(SIZES)} or None, not {auto!r}.")
    size = SIZES[auto or "medium"]
    calls = n_predictors * (size.train * n_train + size.val * n_val) if auto else None
    found = Budget(
        max_iterations=size.max_iterations if max_iterations is None else max_iterations,
        num_candidates=size.num_candidates if num_candidates is None else num_candidates,
        max_lm_calls=calls if max_lm_calls is None else max_lm_calls,
        max_cost=max_cost,
    )
    if found.num_candidates not in (1, 2, 3):
        raise PLDError(f"num_candidates is 1, 2 or 3, not {found.num_candidates!r}.")
    if not isinstance(found.max_iterations, int) or found.max_iterations < 0:
        raise PLDError(f"max_iterations is a whole number from 0 on, not {found.max_iterations!r}.")
    if found.max_lm_calls is not None and found.max_lm_calls < 1:
        raise PLDError(f"max_lm_calls is at least 1, or None for no cap, not {found.max_lm_calls!r}.")
    if found.max_cost is not None and found.max_cost < 0:
        raise PLDError(f"max_cost is at least 0, or None for no cap, not {found.max_cost!r}.")
    return found
