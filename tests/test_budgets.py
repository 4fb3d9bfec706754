import pytest
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.errors import PLDError
from pld_dspy.run.budgets import SIZES, Budget, Limits

numbers = st.integers(1, 500)


@pytest.mark.parametrize(
    ("auto", "iterations", "candidates", "calls"),
    [("light", 1, 1, 840), ("medium", 3, 3, 1_980), ("heavy", 6, 3, 4_200)],
)
def test_a_word_stands_for_rounds_clusterings_and_calls(auto, iterations, candidates, calls):
    assert Budget(auto).limits(120, 60, 1) == Limits(iterations, candidates, calls, None)
    assert Budget(auto).limits(120, 60, 3).max_lm_calls == 3 * calls, "each predictor is paid for"


def test_without_a_word_there_is_no_cap():
    assert Budget().limits(120, 60, 2) == Limits(3, 3, None, None)


@given(st.sampled_from([None, *SIZES]), numbers, numbers, st.integers(1, 4), st.data())
def test_what_is_given_holds_and_the_word_sets_the_rest(auto, n_train, n_val, n_predictors, data):
    given_values = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "max_iterations": st.integers(0, 9),
                "num_candidates": st.integers(1, 3),
                "max_lm_calls": numbers,
                "max_cost": st.floats(0.01, 9),
            },
        )
    )
    found = Budget(auto, **given_values).limits(n_train, n_val, n_predictors)
    otherwise = Budget(auto).limits(n_train, n_val, n_predictors)
    assert found._asdict() == otherwise._asdict() | given_values


@given(numbers, numbers, st.integers(1, 4))
def test_a_heavier_word_allows_more_of_everything(n_train, n_val, n_predictors):
    light, medium, heavy = (Budget(auto).limits(n_train, n_val, n_predictors) for auto in ("light", "medium", "heavy"))
    assert light.max_lm_calls < medium.max_lm_calls < heavy.max_lm_calls
    assert light.max_iterations < medium.max_iterations < heavy.max_iterations
    assert light.num_candidates <= medium.num_candidates <= heavy.num_candidates


def test_none_of_the_rounds_is_asked_for_by_zero():
    assert Budget("heavy", max_iterations=0).limits(10, 10, 1).max_iterations == 0


def test_an_unknown_word_is_named_with_the_known_ones():
    with pytest.raises(PLDError, match="light, medium, heavy or None, not 'huge'"):
        Budget("huge")


@pytest.mark.parametrize("wrong", [0, 4, -1, 1.5])
def test_one_to_three_clusterings_are_tried(wrong):
    with pytest.raises(PLDError, match=f"num_candidates is 1, 2 or 3, not {wrong}"):
        Budget("light", num_candidates=wrong)


@pytest.mark.parametrize("wrong", [-1, 1.5])
def test_rounds_are_counted_from_zero(wrong):
    with pytest.raises(PLDError, match=f"max_iterations is a whole number from 0 on, not {wrong}"):
        Budget(max_iterations=wrong)


@pytest.mark.parametrize("wrong", [{"max_lm_calls": 0}, {"max_lm_calls": -5}, {"max_cost": -1.0}])
def test_a_cap_that_allows_nothing_is_out_of_range(wrong):
    with pytest.raises(PLDError, match=next(iter(wrong))):
        Budget(**wrong)
