import itertools
import math
import random
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.resolution.rule_use import measure_use
from pld_dspy.rules import RuleSet, RuleUse


def numbered(n: int) -> RuleSet:
    return RuleSet.of((f"rule {number}", []) for number in range(n))


class World:
    """Scores of examples under some of the rules, by a function for each example, and what was asked for.

    Each example's function gets the ids of the rules in the prompt.
    """

    def __init__(self, n_rules: int, examples: Sequence) -> None:
        self.rules = numbered(n_rules)
        self.everything = {rule.id for rule in self.rules.rules}
        self.examples = examples
        self.full = [score(self.everything) for score in examples]
        self.asked: list[tuple[list[str], list[int]]] = []

    def without(self, ids: Collection[str], places: Sequence[int]) -> list[float]:
        self.asked.append((list(ids), list(places)))
        return [self.examples[place](self.everything - {*ids}) for place in places]

    def measure(self) -> dict[str, RuleUse]:
        return measure_use([rule.id for rule in self.rules.rules], self.full, self.without)

    @property
    def evaluations(self) -> int:
        return sum(len(places) for _, places in self.asked)

    def leave_one_out(self) -> dict[str, RuleUse]:
        """What taking out each rule by itself finds."""
        found = {}
        for id in self.everything:
            left_out = [score(self.everything - {id}) for score in self.examples]
            pairs = list(zip(self.full, left_out, strict=True))
            found[id] = RuleUse(
                gain=sum(kept - left for kept, left in pairs) / len(pairs) if pairs else 0.0,
                helped=sum(kept > left for kept, left in pairs),
                hurt=sum(kept < left for kept, left in pairs),
                n=len(pairs),
            )
        return found


def hanging_on(id: str | None, there: float, gone: float):
    """An example whose score hangs on one rule, or on none."""
    return lambda ids: there if id is None or id in ids else gone


def same(found: dict[str, RuleUse], expected: dict[str, RuleUse]) -> bool:
    return found.keys() == expected.keys() and all(
        (of.helped, of.hurt, of.n) == (expected[id].helped, expected[id].hurt, expected[id].n)
        and math.isclose(of.gain, expected[id].gain, abs_tol=1e-12)
        for id, of in found.items()
    )


RIGHT_OR_WRONG = st.sampled_from([0.0, 1.0])
GRADED = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.7, 1.0])


@st.composite
def worlds(draw, scores=RIGHT_OR_WRONG) -> World:
    """Up to forty rules, and examples of which each hangs on one of them or on none."""
    n = draw(st.integers(1, 40))
    on = st.one_of(st.none(), st.integers(1, n).map(lambda number: f"R{number}"))
    return World(n, draw(st.lists(st.builds(hanging_on, on, scores, scores), max_size=30)))


@given(worlds())
def test_groups_find_what_taking_out_each_rule_by_itself_finds(world):
    assert same(world.measure(), world.leave_one_out())


@given(worlds(GRADED))
def test_graded_scores_are_measured_the_same(world):
    assert same(world.measure(), world.leave_one_out())


@given(worlds())
def test_the_cost_stays_within_its_bound(world):
    world.measure()
    n, examples = len(world.rules), len(world.full)
    changed = sum(
        any(score(world.everything - {id}) != kept for id in world.everything)
        for score, kept in zip(world.examples, world.full, strict=True)
    )
    if n == 1:
        assert world.evaluations == examples
    else:
        assert world.evaluations <= 2 * examples + 2 * math.ceil(math.log2(n / 2)) * changed
    assert all(places for _, places in world.asked), "nothing is asked about no example"


@given(worlds())
def test_only_rules_that_are_there_are_taken_out_and_no_question_is_put_twice(world):
    world.measure()
    assert all({*ids} <= world.everything and len(set(ids)) == len(ids) for ids, _ in world.asked)
    asked = [(frozenset(ids), place) for ids, places in world.asked for place in places]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("seed", range(5))
def test_two_dozen_rules_cost_at_most_a_third_of_leave_one_out(seed):
    rng = random.Random(seed)
    changed = [hanging_on(f"R{rng.randint(1, 24)}", 1.0, 0.0) for _ in range(63)]
    world = World(24, rng.sample(changed + [hanging_on(None, 1.0, 0.0)] * 37, 100))
    assert same(world.measure(), world.leave_one_out())
    assert world.evaluations <= 24 * 100 / 3


def test_idle_rules_cost_two_evaluations_of_an_example_however_many_they_are():
    world = World(1_000, [hanging_on(None, 1.0, 0.0)] * 7)
    found = world.measure()
    assert world.evaluations == 14
    assert {(of.gain, of.helped, of.hurt, of.n) for of in found.values()} == {(0.0, 0, 0, 7)}
    assert len(found) == 1_000


def test_helpful_and_harmful_rules_are_told_apart():
    scores = [hanging_on("R2", 1.0, 0.0)] * 3 + [hanging_on("R5", 0.0, 1.0)] * 2 + [hanging_on(None, 1.0, 0.0)] * 5
    found = World(6, [*scores, hanging_on("R2", 0.0, 1.0)]).measure()
    assert (found["R2"].helped, found["R2"].hurt, found["R2"].n) == (3, 1, 11)
    assert found["R2"].gain == pytest.approx(2 / 11)
    assert (found["R5"].helped, found["R5"].hurt) == (0, 2)
    assert found["R5"].gain == pytest.approx(-2 / 11)
    assert {id for id, of in found.items() if not of.helped and not of.hurt} == {"R1", "R3", "R4", "R6"}


def test_gains_and_losses_of_one_rule_are_counted_though_they_cancel_in_the_mean():
    found = World(4, [hanging_on("R3", 1.0, 0.0), hanging_on("R3", 0.0, 1.0)]).measure()
    assert (found["R3"].gain, found["R3"].helped, found["R3"].hurt) == (0.0, 1, 1)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(range(1, 9), 2)))
def test_two_rules_of_which_either_suffices_are_both_idle(first, second):
    pair = {f"R{first}", f"R{second}"}
    world = World(8, [lambda ids: float(bool(pair & ids)), hanging_on("R1", 1.0, 0.0)])
    found = world.measure()
    assert same(found, world.leave_one_out())
    assert not any(of.helped or of.hurt for id, of in found.items() if id != "R1")
    assert found["R1"].helped == 1


def test_two_rules_that_are_needed_together_are_both_of_use():
    for first, second in (("R1", "R2"), ("R1", "R8"), ("R3", "R4"), ("R2", "R3")):
        world = World(8, [lambda ids, pair=frozenset({first, second}): float(pair <= ids)])
        found = world.measure()
        assert {id for id, of in found.items() if of.helped} == {first, second}
        assert same(found, world.leave_one_out())


def test_no_rules_have_no_use_and_cost_nothing():
    world = World(0, [hanging_on(None, 1.0, 0.0)])
    assert world.measure() == {}
    assert world.asked == []


@pytest.mark.parametrize(("there", "gone", "gain"), [(1.0, 0.0, 0.5), (0.0, 1.0, -0.5), (1.0, 1.0, 0.0)])
def test_one_rule_is_taken_out_once(there, gone, gain):
    world = World(1, [hanging_on("R1", there, gone), hanging_on(None, 1.0, 1.0)])
    found = world.measure()
    assert found == {"R1": RuleUse(gain=gain, helped=gain > 0, hurt=gain < 0, n=2)}
    assert world.asked == [(["R1"], [0, 1])]


def test_a_difference_of_rounding_is_none():
    world = World(4, [hanging_on("R1", 0.1 + 0.2, 0.3)])
    assert world.measure()["R1"] == RuleUse(gain=0.0, helped=0, hurt=0, n=1)
    assert world.evaluations == 2


def test_no_examples_show_no_use():
    world = World(3, [])
    assert world.measure() == {f"R{i}": RuleUse(gain=0.0, helped=0, hurt=0, n=0) for i in (1, 2, 3)}
    assert world.asked == []
