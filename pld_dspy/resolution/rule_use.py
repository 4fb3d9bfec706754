"""What each rule is good for: how the validation score changes when it is taken out, found by groups."""

import math
from collections.abc import Callable, Collection, Sequence

from pld_dspy.rules import RuleUse

# The scores of some validation examples (by position) when the rules with these ids are taken out of the prompt.
ScoresWithout = Callable[[Collection[str], Sequence[int]], Sequence[float]]


def measure_use(ids: Sequence[str], full: Sequence[float], scores_without: ScoresWithout) -> dict[str, RuleUse]:
    """Measure every rule's use by taking rules out in groups.

    The rules are halved, each half is taken out, and only where an answer changes is the half halved again, on the
    examples whose answers changed. That finds what taking out each rule by itself finds, unless the changes of two
    rules of one group cancel out on an example, as those of a wrong and a right rule about the same may. So neighbours
    go to different halves. As most examples hang on one rule, n rules cost about
    2 + 2 log2(n / 2) f evaluations of the validation set instead of n, where f is the share of examples that any rule
    changes. (Adaptive group testing: Dorfman 1943, Annals of Mathematical Statistics 14; Hwang 1972, JASA 67.)

    Args:
        ids: of the rules in the prompt, like rules beside each other.
        full: the score of each validation example with all of them; NaN where there is none, which counts nowhere.
        scores_without: evaluates; it may know some of the scores already.

    Returns:
        The use of every rule, by id.
    """
    use: dict[str, RuleUse] = {}
    scored = [place for place, score in enumerate(full) if not math.isnan(score)]

    def divide(ids: list[str], changed: list[int]) -> None:
        if not changed:
            use.update({id: _use({}, len(scored)) for id in ids})
            return
        without = dict(zip(changed, scores_without(ids, changed), strict=True))
        differences = {place: full[place] - score for place, score in without.items() if not math.isnan(score)}
        if len(ids) == 1:
            use[ids[0]] = _use(differences, len(scored))
            return
        for half in _halves(ids):
            divide(half, [place for place, difference in differences.items() if abs(difference) > 1e-9])

    for half in _halves(ids) if len(ids) > 1 else [[*ids]]:
        if half:
            divide(half, scored)
    return use


def _halves(ids: Sequence[str]) -> list[list[str]]:
    return [[*ids[::2]], [*ids[1::2]]]


def _use(differences: dict[int, float], n: int) -> RuleUse:
    helped = sum(difference > 1e-9 for difference in differences.values())
    hurt = sum(difference < -1e-9 for difference in differences.values())
    gain = sum(differences.values()) / n if helped or hurt else 0.0
    return RuleUse(gain=gain, helped=helped, hurt=hurt, n=n)
