"""The comparison's statistics, against scipy's and statsmodels' on known cases, and against what chance does."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from pld_dspy.optimizers.results import Row
from pld_dspy.optimizers.statistics import on_front, paired_test, paired_tests, with_tests
from pld_dspy.statistics import holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
RIGHT_OR_WRONG = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=2, max_size=60)


@pytest.fixture(scope="module")
def little_garbage():
    """statsmodels collects garbage on every call of `multipletests`, which takes long after many other tests."""
    gc.freeze()
    yield
    gc.unfreeze()


@given(P_VALUES)
def test_holm_is_statsmodels(little_garbage, p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_holm_on_a_case_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(RIGHT_OR_WRONG)
def test_one_seed_of_right_and_wrong_answers_is_mcnemars_exact_test(pairs):
    before, after = (list(column) for column in zip(*pairs, strict=True))
    table = [[sum(pair == (b, a) for pair in pairs) for a in (1.0, 0.0)] for b in (1.0, 0.0)]
    found = paired_test({0: before}, {0: after})
    assert found.p_value == pytest.approx(min(mcnemar(table, exact=True).pvalue, 1.0))
    assert (found.better, found.worse) == (table[1][0], table[0][1])
    assert found.difference == pytest.approx(np.mean(after) - np.mean(before))
    assert found.low <= found.difference <= found.high


def test_several_seeds_are_tested_by_the_signs_of_the_questions_means():
    rng = np.random.default_rng(0)
    before = {seed: (rng.random(12) < 0.4).astype(float).tolist() for seed in range(3)}
    after = {seed: (rng.random(12) < 0.8).astype(float).tolist() for seed in range(3)}
    difference = np.mean(list(after.values()), axis=0) - np.mean(list(before.values()), axis=0)
    changed = difference[np.abs(difference) > 1e-9]
    exact = stats.permutation_test((changed,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert paired_test(before, after).p_value == pytest.approx(exact.pvalue)


def test_only_seeds_that_both_have_are_compared():
    found = paired_test({0: [1.0, 0.0], 1: [1.0, 1.0]}, {1: [1.0, 1.0], 2: [0.0, 0.0]})
    assert found.difference == 0.0
    apart = [Row(optimizer=name, title="", settings="", results=[], scores={n: [1.0]}) for n, name in enumerate("ab")]
    assert paired_tests("a", apart) == {}


def test_the_difference_has_scipys_bootstrap_interval():
    before, after = [0.0] * 30 + [1.0] * 10, [0.0] * 15 + [1.0] * 25
    found = paired_test({0: before}, {0: after})
    expected = stats.bootstrap(
        (np.subtract(after, before),), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)
    assert found.low > 0
    assert found.p_value < 0.001


def _differs_from_itself(trial: int, seeds: int, graded: bool) -> bool:
    """Whether a student that answers at random is told from itself, asked 150 questions of its own difficulty twice."""
    rng = np.random.default_rng(trial)
    easy = rng.random(150)

    def answers() -> dict[int, list[float]]:
        score = rng.random(150) if graded else 1.0
        return {seed: ((rng.random(150) < easy) * score).tolist() for seed in range(seeds)}

    return paired_test(answers(), answers()).p_value < 0.05


def test_a_program_does_not_differ_from_itself_in_95_of_100_comparisons():
    assert sum(_differs_from_itself(trial, seeds=1, graded=False) for trial in range(100)) <= 5


@pytest.mark.parametrize(
    ("seeds", "graded"),
    [(3, True), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((3, False), (1, True)))],
)
def test_the_tests_keep_their_level(seeds, graded):
    """100 comparisons of a program with itself show no sign of more than 5 % differences."""
    found = sum(_differs_from_itself(trial, seeds, graded) for trial in range(100))
    assert stats.binomtest(found, 100, 0.05, alternative="greater").pvalue > 0.05


def test_a_real_difference_is_found():
    rng = np.random.default_rng(0)
    before = {0: (rng.random(150) < 0.4).astype(float).tolist()}
    after = {0: (rng.random(150) < 0.7).astype(float).tolist()}
    assert paired_test(before, after).p_value < 0.001


def row(name, *scores):
    return Row(optimizer=name, title="", settings="", results=[], scores=dict(enumerate(scores)))


def test_tests_are_corrected_together_and_keep_their_names():
    rows = [row("reference", [0.0] * 8), row("a", [1.0] * 6 + [0.0] * 2), row("absent"), row("b", [1.0] * 8)]
    tests = paired_tests("reference", rows)
    assert {name: test.p_value for name, test in tests.items()} == pytest.approx({"a": 2 / 2**6, "b": 2 / 2**8})
    assert {name: test.p_holm for name, test in tests.items()} == pytest.approx({"a": 2 / 2**6, "b": 2 * 2 / 2**8})
    assert paired_tests("absent", rows) == paired_tests("another", rows) == {}


def test_the_interval_is_over_questions_and_none_where_all_score_the_same():
    def interval(*scores):
        (complete,) = with_tests([row("a", *scores)])
        return complete.low, complete.high

    assert interval() == (None, None)
    assert interval([1.0, 1.0], [1.0, 1.0]) == (None, None)
    assert interval([1.0, 0.0], [0.0, 1.0]) == (None, None)  # each question's mean is a half
    low, high = interval([1.0] * 60 + [0.0] * 40)
    assert 0.48 < low < 0.6 < high < 0.72


def test_the_front_holds_what_nothing_beats():
    def scored(name, score, tokens):
        question = {"calls": 1, "prompt_tokens": tokens, "completion_tokens": 1, "images": 0, "seconds": 1}
        result = {
            "optimizer": name, "title": name, "seed": 0, "score": score, "n": 1, "errors": 0, "settings": "",
            "program": "", "num_threads": 1,
            "capped": False, "compile": {}, "seconds": 1, "groups": {},
            "question": {**question, "cost_usd": None, "cacheable": 0},
        }  # fmt: skip
        return Row.model_validate(
            {"optimizer": name, "title": name, "settings": "", "results": [result], "score": score}
        )

    rows = [scored("cheap", 0.4, 100), scored("good", 0.8, 900), scored("worse", 0.3, 100), scored("dear", 0.8, 1000)]
    rows += [scored("as good", 0.8, 900), Row(optimizer="absent", title="", settings="", results=[])]
    assert on_front(rows) == {"cheap", "good", "as good"}
