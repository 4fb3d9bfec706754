"""The metric of a program that has none, and the teacher's words for an answer: the output field's type decides."""

from datetime import date
from enum import Enum, StrEnum
from typing import Any, Literal

import dspy
import numpy as np
import pytest
from dspy.evaluate import answer_exact_match
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from pld_dspy.examples import answer_fields
from pld_dspy.extraction.lessons import lesson
from pld_dspy.extraction.traces import Turn
from pld_dspy.resolution.diagnosis import Answered, failed
from pld_dspy.student import Scored, exact_match, in_words


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Language(Enum):
    C = "C"
    CPP = "C++"


class Place(BaseModel):
    x: int
    y: int = 2
    name: str = ""


def student(kind):
    return dspy.Predict(dspy.Signature({"question": (str, dspy.InputField()), "answer": (kind, dspy.OutputField())}))


def scored(kind, label, answer):
    example = dspy.Example(question="q", answer=label).with_inputs("question")
    return exact_match(student(kind))(example, dspy.Prediction(answer=answer))


SAME = [
    (float, 4, 4.0), (float, "4", 4.0), (int, 4.0, 4), (int, "4", 4), (float, 1e3, 1000),
    (bool, "true", True), (bool, "False", False), (bool, True, "True"), (bool, 1, True),
    (list[float], [1, 2], [1.0, 2.0]), (list[float], "[1, 2]", [1.0, 2.0]), (list[float], np.array([1, 2]), [1.0, 2.0]),
    (list[str], ["Paris."], ["paris"]), (tuple[int, str], [1, "a"], (1, "a")), (set[int], [2, 1], {1, 2}),
    (Colour, "red", Colour.RED), (Colour, Colour.RED, "red"), (Colour, "RED", Colour.RED), (str, Colour.RED, "red"),
    (Size, 1, Size.SMALL), (Size, "SMALL", Size.SMALL), (Literal["a", "b"], " a", "a"), (Literal[1, 2], "1", 1),
    (dict[str, int], {"a": 1, "b": 2}, {"b": 2, "a": 1}), (dict, '{"a": 1}', {"a": 1}),
    (Place, {"x": 1}, Place(x=1)), (Place, Place(x=1), {"y": 2, "x": 1}), (Place, '{"x": 1}', Place(x=1)),
    (list[Place], [{"x": 1, "name": "The Hill."}], [Place(x=1, name="hill")]),
    (date, "2020-01-02", date(2020, 1, 2)), (float | None, 4, 4.0), (str | None, "Paris.", "Paris"), (Any, "4", 4),
    (str, "Paris.", "Paris"), (str, "the Eiffel  Tower", "Eiffel tower!"), (str, 4, "4"), (str, True, "true"),
    (str, ["Paris", "Lutetia"], "lutetia"), (str, "A", "(a)"), (str, "-5", "-5."), (str, "+", " + "),
    (str, "NaN", "nan"), (str, None, None), (float, None, None),
]  # fmt: skip
OTHER = [
    (float, 4, 5.0), (float, 4, "four"), (float, 4, None), (float, None, 4.0), (bool, "true", False),
    (bool, "maybe", True), (Colour, "red", Colour.BLUE),
    (list[float], [1, 2], [2.0, 1.0]), (list[float], [1, 2], [1.0]), (list[str], ["a"], "b"),
    (Literal["a", "b"], "a", "b"), (dict[str, int], {"a": 1}, {"a": 1, "b": 2}), (Place, {"x": 1}, Place(x=2)),
    (Place, "nowhere", Place(x=1)), (str, "A", "B"), (str, "A", ""), (str, "A", None), (str, "none", None),
    (str, "+", "-"), (Literal["C", "C++"], "C++", "C"), (Language, "C++", Language.C), (Language, Language.CPP, "C"),
   
    (str, "-5", "5"), (str, "1.5", "15"), (str, ["Paris", "Lutetia"], "Rome"), (str, [], "Rome"), (str, "a b", "ab"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "label", "answer"), SAME)
def test_answers_are_right_that_are_the_label_as_the_field_s_type(kind, label, answer):
    assert scored(kind, label, answer) == 1


@pytest.mark.parametrize(("kind", "label", "answer"), OTHER)
def test_others_are_wrong(kind, label, answer):
    assert scored(kind, label, answer) == 0


@given(label=st.text(), answer=st.text())
def test_texts_are_compared_as_dspy_does_where_it_leaves_any_words(label, answer):
    assume(all(text.strip("\x00") and any(map(str.isalpha, text)) for text in (label, answer)))
    assume(not {label.casefold().strip(), answer.casefold().strip()} & {"a", "an", "the"})
    example = dspy.Example(question="q", answer=label).with_inputs("question")
    prediction = dspy.Prediction(answer=answer)
    assert exact_match(student(str))(example, prediction) == answer_exact_match(example, prediction)


class Odd:
    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


@pytest.mark.parametrize("kind", [str, float, Colour, Place, list[int], Any])
@pytest.mark.parametrize("value", [Odd(), np.zeros((2, 2)), object(), {1: Odd()}, [float("nan")], b"\xff", "\ud800"])
def test_no_value_raises(kind, value):
    assert scored(kind, value, Odd()) == 0
    assert scored(kind, "red", value) == 0


WRITTEN = [
    (Colour, Colour.RED, "red"), (Size, Size.LARGE, "2"),
    (Place, Place(x=1, name="hü"), '{"x": 1, "y": 2, "name": "hü"}'),
    (dict, {"a": [Colour.RED]}, '{"a": ["red"]}'), (list[str], ["a", "b"], '["a", "b"]'),
    (str, "so\nit is", "so\nit is"),
    (float, 4.5, "4.5"), (bool, True, "True"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "label", "text"), WRITTEN)
def test_the_teacher_is_told_the_answer_in_the_student_s_own_form(kind, label, text):
    program, example = student(kind), dspy.Example(question="q", answer=label).with_inputs("question")
    shown = dspy.ChatAdapter().format_assistant_message_content(program.signature, {"answer": label})
    assert text in shown
    assert in_words(program, example, example.labels()) == text
    assert lesson(program, "self", example).answer == text
    unlabelled = dspy.Example(question="q", gold="x").with_inputs("question")
    assert lesson(program, "self", unlabelled, Turn({"question": "q"}, {"answer": label})).answer == text


def test_a_predictor_is_not_blamed_for_an_answer_that_the_metric_takes():
    example = dspy.Example(question="q", answer=4).with_inputs("question")
    item = Scored(purpose="", program="", example="", content="", score=0, outputs={"answer": "4.0"})
    assert not failed(answer_fields(student(float))["self"], Answered(example, item))
    assert failed(answer_fields(student(int))["self"], Answered(example.copy(answer=5), item))
