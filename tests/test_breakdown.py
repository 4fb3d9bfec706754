import dspy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from pld_dspy.metrics.breakdown import break_down
from pld_dspy.metrics.scienceqa import GROUPS, scienceqa_breakdown
from pld_dspy.metrics.spiqa import FIGURE_TYPES, spiqa_breakdown
from pld_dspy.student.evaluation import Scored


def scored(score, **outputs):
    return Scored(purpose="", program="", example="", content="", score=score, outputs=outputs)


def problem(subject="", grade="", context="", pictured=False, answer="A"):
    return dspy.Example(
        subject=subject, grade=grade, context=context, pictured=pictured, answer=answer, choices=["yes", "no", "both"]
    )


def table(breakdown, measure):
    return {group.name: (group.n, group.scores.get(measure)) for group in breakdown.groups}


def test_groups_overlap_and_the_last_has_all():
    found = break_down(["a", "b", "c"], [{"a"}, {"a", "b"}, set(), {"a"}], {"score": [1, 0, 0, 1]}, "everything")
    assert table(found, "score") == {
        "a": (3, pytest.approx(2 / 3)),
        "b": (1, 0.0),
        "c": (0, None),
        "everything": (4, 0.5),
    }
    assert found.columns == {"score": [1.0, 0.0, 0.0, 1.0]}


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_the_interval_holds_the_mean_and_stays_within_the_scores(scores):
    found = break_down([], [set()] * len(scores), {"score": scores})
    if len(set(scores)) == 1:
        assert found.intervals == {}, "resampling can say nothing"
        return
    low, high = found.intervals["score"]
    assert min(scores) - 1e-9 <= low <= np.mean(scores) + 1e-9
    assert np.mean(scores) - 1e-9 <= high <= max(scores) + 1e-9


def test_the_interval_is_the_percentile_bootstraps():
    scores = [1.0] * 60 + [0.0] * 40
    low, high = break_down([], [set()] * 100, {"score": scores}).intervals["score"]
    assert low == pytest.approx(0.50, abs=0.015)  # 0.6 ± 1.96 · sqrt(0.6 · 0.4 / 100)
    assert high == pytest.approx(0.70, abs=0.015)
    assert break_down([], [set()] * 100, {"score": scores}).intervals["score"] == (low, high)
    assert break_down([], [set()], {"score": [1.0]}).intervals == {}


def test_the_official_groups_of_scienceqa():
    examples = [
        problem("natural science", "grade1", "a hint", True),
        problem("natural science", "grade7"),
        problem("social science", "grade6", "", True),
        problem("language science", "grade12", "a hint"),
        problem("", "", "", True),  # of which nothing is known
    ]
    items = [
        scored(1, answer="A"),
        scored(0, answer="B"),
        scored(1, answer="A"),
        scored(0, answer="A"),
        scored(1, answer="A"),
    ]
    found = table(scienceqa_breakdown(examples, items), "accuracy")
    assert list(found) == [*GROUPS, "Avg"] == ["NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12", "Avg"]
    assert found == {
        "NAT": (2, 0.5),
        "SOC": (1, 1.0),
        "LAN": (1, 0.0),
        "TXT": (2, 0.5),
        "IMG": (3, 1.0),
        "NO": (1, 0.0),
        "G1-6": (2, 1.0),
        "G7-12": (2, 0.0),
        "Avg": (5, 0.6),
    }


def test_unparseable_answers_are_wrong_and_counted():
    examples = [problem(answer="A"), problem(answer="B"), problem(answer="C"), problem(answer="A")]
    items = [scored(1, answer="A"), scored(0, answer="I cannot see it"), scored(0, answer="(A) or (B)"), scored(0)]
    found = scienceqa_breakdown(examples, items, {"further": [1, 1, 0, 0]})
    assert found.groups[-1].scores == {"accuracy": 0.25, "unparseable": 0.75, "further": 0.5}


def test_macro_f1_is_over_the_letters_of_the_right_answers():
    gold, said = list("AABBC"), [*list("ABBB"), "?"]
    examples = [problem(answer=letter) for letter in gold]
    items = [scored(float(a == b), answer=b) for a, b in zip(gold, said, strict=True)]
    macro = scienceqa_breakdown(examples, items).overall["macro-F1"]
    assert macro == pytest.approx(f1_score(gold, said, labels=["A", "B", "C"], average="macro", zero_division=0))
    assert macro == pytest.approx((2 / 3 + 4 / 5 + 0) / 3)


def test_the_table_of_spiqa_has_figure_types_and_retrieval_where_there_is_some():
    examples = [
        dspy.Example(figure_type="plot", referred=["2", "3"]),
        dspy.Example(figure_type="table", referred=["1"]),
        dspy.Example(figure_type="plot", referred=[]),
    ]
    plain = spiqa_breakdown(examples, [scored(0.5, answer="x"), scored(1.0, answer=""), scored(0.0)])
    assert plain.groups[-1].scores == {"word F1": 0.5, "unreadable": pytest.approx(1 / 3)}
    assert [group.name for group in plain.groups] == [*FIGURE_TYPES, "all"]
    found = [scored(0.5, answer="x", figure="3"), scored(1.0, answer="y", figure="2"), scored(0.0, figure="none")]
    assert table(spiqa_breakdown(examples, found, {"L3Score": [0.1, 0.2, 0.3]}), "retrieval") == {
        "plot": (2, 0.5),
        "schematic": (0, None),
        "photograph": (0, None),
        "table": (1, 0.0),
        "other": (0, None),
        "all": (3, pytest.approx(1 / 3)),
    }
