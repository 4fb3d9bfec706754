import itertools
import math
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
from fakes import FakeContext
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scripted import examples

from pld_dspy.resolution import Trial, gate_of, gates
from pld_dspy.statistics import FLIPS, Comparison, compare

NOW, EDITED = "now", "edited"
right_or_wrong = st.tuples(st.integers(0, 1), st.integers(0, 1))
graded = st.tuples(*[st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])] * 2)


def paired(fixed: int, broken: int, same: int = 0) -> tuple[list[float], list[float]]:
    """Scores before and after."""
    before = [0.0] * fixed + [1.0] * broken + [1.0, 0.0] * same
    return before, [1.0] * fixed + [0.0] * broken + [1.0, 0.0] * same


@pytest.mark.parametrize(
    ("fixed", "broken", "p_value"),
    [
        (1, 0, 1.0),
        (1, 1, 1.0),
        (5, 0, 0.0625),  # 2 / 2⁵
        (0, 5, 0.0625),
        (6, 0, 0.03125),
        (3, 1, 0.625),  # 2 (1 + 4) / 2⁴
        (8, 1, 0.0390625),  # 2 (1 + 9) / 2⁹
        (2, 10, 0.03857421875),  # 2 (1 + 12 + 66) / 2¹²
    ],
)
def test_right_and_wrong_answers_are_compared_by_mcnemars_exact_test(fixed, broken, p_value):
    found = compare(*paired(fixed, broken, same=4))
    assert (found.fixed, found.broken, found.n) == (fixed, broken, fixed + broken + 8)
    assert found.p_value == pytest.approx(p_value)
    assert found.gain == pytest.approx((fixed - broken) / (fixed + broken + 8))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemars_test_is_the_binomial_test_of_what_changed(fixed, broken):
    expected = stats.binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
    assert compare(*paired(fixed, broken, same=1)).p_value == pytest.approx(expected)


@pytest.mark.parametrize("scores", [[1.0, 0.0, 1.0], [0.3, 0.25, 0.7], [0.0]])
def test_where_nothing_changed_nothing_is_gained_and_nothing_is_sure(scores):
    found = compare(scores, list(scores))
    assert (found.fixed, found.broken, found.gain, found.p_value) == (0, 0, 0.0, 1.0)
    assert found.before == found.after == pytest.approx(sum(scores) / len(scores))


def test_a_difference_of_rounding_is_none():
    found = compare([0.1 + 0.2, 0.5], [0.3, 0.5])
    assert (found.fixed, found.broken, found.gain, found.p_value) == (0, 0, 0.0, 1.0)


def test_scores_that_change_places_gain_nothing():
    scores = [0.1, 0.2, 0.3]
    assert compare(scores, scores[::-1]).gain == 0.0
    assert compare(scores[::-1], scores).gain == 0.0


@pytest.mark.parametrize(("before", "after"), [([0.5], [0.75]), ([0.5, 0.2, 0.0], [0.0, 0.2, 0.0])])
def test_a_single_graded_score_that_changed_is_no_evidence(before, after):
    found = compare(before, after)
    assert found.p_value == 1.0
    assert found.fixed + found.broken == 1


@settings(max_examples=40)
@given(st.lists(graded, min_size=1, max_size=8))
def test_few_graded_scores_are_compared_by_every_flip_of_signs(pairs):
    before, after = zip(*pairs, strict=True)
    differences = [Fraction(new) - Fraction(old) for old, new in pairs if new != old]
    sums = [sum(map(math.prod, zip(signs, differences, strict=True)))
            for signs in itertools.product((1, -1), repeat=len(differences))]  # fmt: skip
    tail = min(sum(each >= sum(differences) for each in sums), sum(each <= sum(differences) for each in sums))
    assert compare(before, after).p_value == pytest.approx(min(1.0, 2 * tail / len(sums)))


@settings(max_examples=60)
@given(st.one_of(st.lists(right_or_wrong, min_size=1, max_size=40), st.lists(graded, min_size=1, max_size=14)))
def test_counts_means_and_gain_agree_and_swapping_the_sides_flips_them(pairs):
    before, after = zip(*pairs, strict=True)
    found, swapped = compare(before, after), compare(after, before)
    assert found.n == len(pairs)
    assert found.fixed == sum(new > old for old, new in pairs)
    assert found.broken == sum(new < old for old, new in pairs)
    assert found.before == pytest.approx(np.mean(before))
    assert found.after == pytest.approx(np.mean(after))
    assert found.gain == pytest.approx(found.after - found.before, abs=1e-12)
    assert 0 < found.p_value <= 1
    assert (swapped.fixed, swapped.broken) == (found.broken, found.fixed)
    assert swapped.gain == pytest.approx(-found.gain, abs=1e-12)
    assert swapped.p_value == pytest.approx(found.p_value)


def test_many_graded_scores_are_resampled_as_the_seed_says():
    rng = np.random.default_rng(0)
    before, noise = rng.uniform(size=40), rng.normal(0.02, 0.1, size=40)
    found = compare(before, before + noise, seed=1)
    assert compare(before, before + noise, seed=1) == found
    assert compare(before, before + noise, seed=2).p_value != found.p_value
    assert compare(before + noise, before, seed=1).p_value == pytest.approx(found.p_value)
    assert found.p_value == pytest.approx(stats.ttest_rel(before + noise, before).pvalue, abs=0.03)


def test_a_clear_gain_of_graded_scores_has_as_small_a_p_value_as_resampling_can_show():
    before = np.linspace(0.1, 0.5, 40)
    found = compare(before, before + np.linspace(0.2, 0.4, 40))
    assert found.p_value == pytest.approx(2 / (FLIPS + 1))
    assert found.gain == pytest.approx(0.3)


VALSET = examples(6)
WHOLE = [f"q{i}" for i in range(6)]
FAILURES = [example.copy(id=f"f{i}") for i, example in enumerate(examples(3))]
FAILED = ["f0", "f1", "f2"]


def judge(
    now, edited, failures=FAILURES, valset=VALSET, shortens=False, gate="positive", seed=0, measured=False, minibatch=4
):
    """The verdict on scores by id, 0 where they do not say, and the context that was asked for them."""
    tables = {NOW: now, EDITED: edited}
    context = FakeContext(lambda program, example: tables[program].get(example.id, 0.0), seed=seed)
    trial = Trial(context, NOW, EDITED, valset, failures, shortens, measured)
    with mock.patch.object(gates, "MINIBATCH", minibatch):
        return gate_of(gate).judge(trial), context


def evidence(context) -> list[list[str]]:
    """The ids that the edited program was scored on, in order."""
    return [ids for program, _, ids in context.scored if program == EDITED]


def test_an_edit_is_tried_on_its_failures_then_on_a_minibatch_then_on_the_whole_set():
    verdict, context = judge({"q0": 1.0}, {"f1": 1.0, "q0": 1.0, "q5": 1.0})
    assert evidence(context) == [FAILED, WHOLE[:4], WHOLE]
    assert verdict.accepted
    assert verdict.whole
    assert verdict.mended == 1
    assert (verdict.comparison.n, verdict.comparison.fixed, verdict.comparison.broken) == (6, 1, 0)
    assert verdict.why == "gains: 1 better, 0 worse of 6, p = 1"


def test_both_programs_meet_the_same_examples_and_every_score_says_what_it_is_for():
    _, context = judge({}, {"f1": 1.0, "q0": 1.0})
    for program in (NOW, EDITED):
        assert [ids for asked, _, ids in context.scored if asked == program] == [FAILED, WHOLE[:4], WHOLE]
    purposes = {
        program: {purpose for asked, purpose, _ in context.scored if asked == program} for program in (NOW, EDITED)
    }
    assert len(purposes[NOW]) == 1
    assert len(purposes[EDITED]) == 3
    assert not purposes[NOW] & purposes[EDITED]


@pytest.mark.parametrize(("n", "said"), [(3, "the 3 failures"), (1, "the failure it")])
def test_an_edit_that_mends_none_of_its_failures_is_refused_at_once(n, said):
    verdict, context = judge({}, dict.fromkeys(WHOLE, 1.0), FAILURES[:n])
    assert not verdict.accepted
    assert verdict.mended == 0
    assert verdict.comparison is None
    assert not verdict.whole
    assert said in verdict.why
    assert evidence(context) == [FAILED[:n]]


def test_every_mended_failure_is_counted_also_where_others_get_worse():
    verdict, _ = judge({"f2": 0.4}, {"f0": 1.0, "f1": 0.3, "q0": 1.0})
    assert verdict.mended == 2
    assert verdict.accepted


def test_an_edit_that_loses_on_the_minibatch_is_refused_there():
    verdict, context = judge({"q3": 1.0}, {"f0": 1.0, "q4": 1.0, "q5": 1.0})
    assert not verdict.accepted
    assert not verdict.whole
    assert verdict.mended == 1
    assert verdict.comparison.n == 4
    assert verdict.why == "loses on a minibatch: 0 better, 1 worse of 4, p = 1"
    assert evidence(context) == [FAILED, WHOLE[:4]]


def test_what_is_no_worse_on_the_minibatch_goes_on_to_the_whole_set():
    verdict, context = judge({"q5": 1.0, "q0": 1.0}, {"f0": 1.0, "q1": 1.0})
    assert evidence(context)[-1] == WHOLE
    assert not verdict.accepted
    assert verdict.whole
    assert verdict.why == "loses: 1 better, 2 worse of 6, p = 1"


def test_an_edit_without_failures_is_tried_on_validation_examples_only():
    verdict, context = judge({}, {"q0": 1.0}, ())
    assert evidence(context) == [WHOLE[:4], WHOLE]
    assert verdict.mended is None
    assert verdict.accepted


@pytest.mark.parametrize("minibatch", [6, 7, 20])
def test_a_validation_set_that_is_not_larger_than_the_minibatch_is_used_whole_at_once(minibatch):
    verdict, context = judge({"q0": 1.0}, {"f0": 1.0, "q1": 1.0, "q2": 1.0}, minibatch=minibatch)
    assert evidence(context) == [FAILED, WHOLE]
    assert verdict.accepted
    assert verdict.whole


@pytest.mark.parametrize("gate", ["positive", "significant"])
def test_an_equal_score_is_enough_only_where_that_is_said(gate):
    now, edited = {"q0": 1.0}, {"f0": 1.0, "q0": 1.0}
    refused, _ = judge(now, edited, gate=gate)
    taken, _ = judge(now, edited, gate=gate, shortens=True)
    assert (refused.accepted, taken.accepted) == (False, True)
    assert refused.why == taken.why == "changes nothing: 0 better, 0 worse of 6, p = 1"


def test_as_many_gains_as_losses_are_an_equal_score():
    now, edited = {"q0": 1.0}, {"q1": 1.0}
    assert not judge(now, edited, ())[0].accepted
    assert judge(now, edited, (), shortens=True)[0].accepted


def test_a_loss_is_never_enough():
    now, edited = {"q5": 1.0}, {}
    verdict, _ = judge(now, edited, (), shortens=True)
    assert not verdict.accepted
    assert verdict.whole


@pytest.mark.parametrize(("gained", "sure"), [(5, False), (6, True)])
def test_significant_asks_for_a_p_value_below_a_twentieth_besides_the_gain(gained, sure):
    edited = {"f0": 1.0} | dict.fromkeys(WHOLE[:gained], 1.0)
    verdict, _ = judge({}, edited, gate="significant")
    assert verdict.accepted is sure
    assert verdict.why.startswith("gains:" if sure else "gains too little to be sure:")
    assert verdict.comparison.p_value == pytest.approx(2 / 2**gained)
    assert judge({}, edited)[0].accepted, "a gain is enough for the ordinary gate"


def test_what_need_only_be_equal_need_not_be_significant():
    verdict, _ = judge({}, {"q0": 1.0}, (), gate="significant", shortens=True)
    assert verdict.accepted


def test_a_sure_loss_is_no_gain():
    verdict, _ = judge(dict.fromkeys(WHOLE, 1.0), {"f0": 1.0}, gate="significant", minibatch=6)
    assert verdict.comparison.p_value < 0.05
    assert not verdict.accepted
    assert verdict.why.startswith("loses:")


@pytest.mark.parametrize("shortens", [True, False])
def test_a_gate_that_is_off_takes_everything_unseen(shortens):
    now, edited = dict.fromkeys(WHOLE, 1.0), {}
    verdict, context = judge(now, edited, gate="off", shortens=shortens)
    assert verdict.accepted
    assert "off" in verdict.why
    assert (verdict.mended, verdict.comparison, verdict.whole) == (None, None, False)
    assert context.scored == []


def test_the_seed_of_the_compile_is_that_of_the_resampling():
    rng = np.random.default_rng(3)
    valset = examples(30)
    now = {example.id: 0.5 for example in valset}
    edited = {example.id: 0.5 + float(rng.normal(0.02, 0.1)) for example in valset}
    verdicts = [judge(now, edited, (), valset, minibatch=30, seed=seed)[0] for seed in (1, 1, 2)]
    assert verdicts[0] == verdicts[1]
    assert verdicts[0].comparison.p_value != verdicts[2].comparison.p_value


def test_where_most_scores_are_known_the_whole_set_is_tried_at_once():
    verdict, context = judge({"q3": 1.0}, {"q4": 1.0, "q5": 1.0}, (), measured=True)
    assert evidence(context) == [WHOLE], "the first part, which loses, is not asked for"
    assert verdict.accepted


@settings(max_examples=60)
@given(st.lists(right_or_wrong, min_size=1, max_size=12), st.integers(1, 12), st.booleans())
def test_what_is_accepted_has_gained_or_need_not_gain(pairs, minibatch, shortens):
    valset = examples(len(pairs))
    now, edited = ({f"q{i}": float(pair[side]) for i, pair in enumerate(pairs)} for side in (0, 1))
    verdict, _ = judge(now, edited, (), valset, shortens, minibatch=minibatch)
    gained = sum(new - old for old, new in pairs)
    early = sum(new - old for old, new in pairs[:minibatch])
    assert verdict.accepted == (early >= 0 and (gained > 0 or (shortens and gained == 0)))
    assert verdict.whole == (early >= 0 or minibatch >= len(pairs))


def test_a_verdict_is_read_as_it_was_written():
    verdict, _ = judge({"q0": 1.0}, {"f1": 1.0, "q0": 1.0, "q5": 1.0})
    assert type(verdict).model_validate_json(verdict.model_dump_json()) == verdict
    assert isinstance(verdict.comparison, Comparison)
