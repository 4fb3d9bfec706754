import pytest
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.distillation import Version, best_version
from pld_dspy.rules import RuleSet
from pld_dspy.student import Evaluation, Scored

scores = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def validated(*scores: float | None) -> Evaluation:
    """An evaluation of so many examples; None for one without a reply."""
    return Evaluation(items=[Scored(purpose="", program="", example="", content="", score=score) for score in scores])


def versions(*scores: float | None) -> list[Version]:
    """Versions of one predictor's rules, told apart by their numbers; None for one that was not validated."""
    found = [None if score is None else validated(score) for score in scores]
    return [Version({"self": RuleSet(version=number)}, validation) for number, validation in enumerate(found)]


def test_the_version_with_the_best_score_comes_back():
    of = versions(0.4, 0.8, 0.6)
    found, why = best_version(validated(0.5), of)
    assert found is of[1]
    said = "Version 1 of the rules (rules/001.json) is returned: best on the validation set, 80.0% against 50.0%"
    assert why == f"{said} without."


def test_the_clustered_rules_are_called_so():
    of = versions(0.8, 0.6)
    found, why = best_version(validated(0.5), of)
    assert found is of[0]
    assert why == "The clustered rules are returned: best on the validation set, 80.0% against 50.0% without."


def test_of_equal_scores_the_latest_version_comes_back():
    of = versions(0.8, 0.6, 0.8, 0.7)
    found, why = best_version(validated(0.5), of)
    assert found is of[2]
    assert "Version 2" in why


@pytest.mark.parametrize("best", [0.5, 0.375])
def test_rules_that_do_not_beat_the_student_are_not_returned(best):
    found, why = best_version(validated(0.5), versions(0.25, best))
    assert found == Version({"self": RuleSet()}, validated(0.5))
    assert "50.0%" in why
    assert f"{best:.1%}" in why
    assert "as it came" in why


def test_versions_without_a_score_are_passed_over():
    of = versions(None, 0.6, None)
    found, why = best_version(validated(0.5), of)
    assert found is of[1]
    assert "60.0%" in why


@pytest.mark.parametrize(
    ("student", "of"),
    [
        (validated(0.5), []),
        (None, []),
        (validated(0.5), versions(None, None)),
        (None, versions(0.9)),
        (None, versions(None)),
    ],
)
def test_without_scores_to_compare_the_student_comes_back_as_it_came(student, of):
    found, why = best_version(student, of)
    assert found == Version({"self": RuleSet()} if of else {}, student)
    assert why == "No rules were validated: the student is returned as it came."


def test_a_version_that_scores_nothing_does_not_beat_a_student_that_scores_nothing():
    assert best_version(validated(0.0), versions(0.0))[0] == Version({"self": RuleSet()}, validated(0.0))


@pytest.mark.parametrize("student", [None, validated(0.0), validated(1.0)])
@pytest.mark.parametrize("of", [versions(0.9, 0.1), versions(0.9, None), versions(None)])
def test_without_a_gate_the_last_version_comes_back_whatever_it_scores(student, of):
    found, why = best_version(student, of, last=True)
    assert found is of[-1]
    assert f"The last of {len(of)} versions" in why
    assert "gate is off" in why


def test_without_a_gate_and_without_rules_the_student_comes_back():
    found, why = best_version(validated(0.5), [], last=True)
    assert found == Version({}, validated(0.5))
    assert "as it came" in why


@given(st.one_of(st.none(), scores), st.lists(st.one_of(st.none(), scores), max_size=6))
def test_what_comes_back_is_no_worse_than_anything_that_was_validated(student, some):
    of = versions(*some)
    found, why = best_version(None if student is None else validated(student), of)
    known = [score for score in some if score is not None]
    if any(found is each for each in of):
        assert found.score == max(known) > student
        assert all(score != found.score for score in some[found.rules["self"].version + 1 :])
        assert f"{found.score:.1%}" in why
    else:
        assert found.score == student
        assert student is None or all(score <= student for score in known)


@pytest.mark.parametrize(
    ("student", "rules", "better"),
    [
        ([1, 1, 1, 1, 1, None], [1, 1, 1, 1, 1, 1], False),  # the missing one would have been right
        ([1, 0, 0, None], [1, 1, 0, 0], True),
        ([1, 0, 0, 1], [1, None, 0, 1], False),
        ([1, 0, None], [1, None, 1], False),
    ],
)
def test_questions_without_a_reply_count_for_neither_side(student, rules, better):
    version = Version({"self": RuleSet()}, validated(*rules))
    found, why = best_version(validated(*student), [version])
    assert (found is version) == better
    assert ("66.7% against 33.3%" in why) == better
