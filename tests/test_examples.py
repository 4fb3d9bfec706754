import threading
from datetime import date

import dspy
import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from same import Colour, Point, Thing

from pld_dspy.datasets.images import figures_of
from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id, fingerprint, labelled_predictors, present, rationale

PIXEL = dspy.Image("data:image/png;base64,AAAA")
OTHER = dspy.Image("data:image/png;base64,BBBB")


def test_present_numbers_figures_across_fields_and_leaves_out_what_is_empty():
    case = present({"question": "Why?", "context": "", "image": None, "choices": ["a", "b"], "figures": [PIXEL, OTHER]})
    assert case.text == "question: Why?\nchoices:\na\nb\nfigures:\n[figure 1]\n[figure 2]"
    assert case.figures == [PIXEL, OTHER]
    assert present({"image": PIXEL}, first_figure=4).text == "image: [figure 4]"


class Card(BaseModel):
    front: dspy.Image
    note: str = "n"


NESTED = [
    ({"front": PIXEL, "back": [OTHER]}, 'given: {"front": "[figure 4]", "back": ["[figure 5]"]}'),
    (Card(front=PIXEL), 'given: {"front": "[figure 4]", "note": "n"}'),
    ([{"a": PIXEL}, {"a": OTHER}], 'given:\n{"a": "[figure 4]"}\n{"a": "[figure 5]"}'),
    (dspy.History(messages=[{"q": PIXEL, "a": "yes"}]), 'given: {"messages": [{"q": "[figure 4]", "a": "yes"}]}'),
    (Thing(front=Point(PIXEL, {"b": (OTHER,)})), 'given: {"front": {"x": "[figure 4]", "y": {"b": ["[figure 5]"]}}}'),
]


@pytest.mark.parametrize(("given", "text"), NESTED)
def test_figures_are_found_wherever_they_are_nested(given, text):
    case = present({"given": given}, first_figure=4)
    assert case.text == text
    assert case.figures == [PIXEL, OTHER][: len(case.figures)]
    assert figures_of(dspy.Example(given=given, other=OTHER).with_inputs("given")) == case.figures


def circle():
    thing = Thing(name="a")
    thing.itself = thing
    return thing


ODD = [
    ({"b", "a"}, '["a", "b"]'), (Colour.RED, "red"), ([Colour.RED], "red"), (np.arange(3), "[0 1 2]"),
    (pd.DataFrame({"a": [1]}), "   a\n0  1"), (Thing(a=1), '{"a": 1}'), (circle(), '{"name": "a", "itself": "…"}'),
    (np.float64(0.5), "0.5"), ([np.int64(3)], "3"), (len, "<built-in function len>"), (date(2020, 1, 2), "2020-01-02"),
    ([], None), ((), None), (0, "0"), (False, "False"), ({}, "{}"), (b"ab", "ab"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), ODD)
def test_values_of_any_type_are_shown_in_words_and_without_addresses(value, text):
    line = "" if text is None else f"x:\n{text}" if "\n" in text else f"x: {text}"
    assert present({"x": value}).text == line


def test_what_is_large_is_cut():
    assert len(present({"x": Thing(words=["word"] * 10_000)}).text) < 5_000
    assert len(present({"x": np.zeros((300, 300))}).text) < 5_000
    assert len(present({"x": pd.DataFrame(np.zeros((9_000, 90)))}).text) < 5_000
    assert " at 0x" not in present({"x": [lambda: 1, object(), {"a": threading.Lock()}]}).text


def test_ids_come_from_the_data_or_the_content():
    assert example_id(dspy.Example(pid=7, question="a")) == "7"
    unnamed = dspy.Example(question="a", image=PIXEL)
    assert example_id(unnamed) == fingerprint(unnamed) == fingerprint(dspy.Example(image=PIXEL, question="a"))
    assert fingerprint(unnamed) != fingerprint(dspy.Example(question="a", image=OTHER))


def test_rationale_is_what_explains_and_no_input():
    example = dspy.Example(question="q", lecture="All.", solution="So.", answer="a").with_inputs("question")
    assert rationale(example) == "All.\nSo."
    assert rationale(example.with_inputs("question", "lecture")) == "So."


class Two(dspy.Module):
    def __init__(self):
        super().__init__()
        self.find = dspy.Predict("question -> figure")
        self.answer = dspy.Predict("question, figure -> answer")


def test_only_predictors_with_labelled_outputs_learn():
    example = dspy.Example(question="q", answer="a", pid="1").with_inputs("question")
    assert labelled_predictors(Two(), [example]) == {"answer": ["answer"]}
    both = dspy.Example(question="q", answer="a", figure="f").with_inputs("question")
    assert labelled_predictors(Two(), [both]) == {"find": ["figure"], "answer": ["answer"]}


def test_labels_with_other_names_go_to_the_last_predictor():
    example = dspy.Example(question="q", gold="a").with_inputs("question")
    assert labelled_predictors(Two(), [example]) == {"answer": ["gold"]}


@pytest.mark.parametrize("labels", [{}, {"answer": None}, {"answer": ""}, {"pid": "3", "solution": "so"}])
def test_examples_without_an_answer_are_refused(labels):
    with pytest.raises(PLDError, match="no labels"):
        labelled_predictors(Two(), [dspy.Example(question="q", **labels).with_inputs("question")])


def test_examples_that_do_not_say_what_their_inputs_are_are_refused():
    with pytest.raises(PLDError, match="with_inputs"):
        labelled_predictors(Two(), [dspy.Example(question="q", answer="a")])


def test_a_program_without_predictors_is_refused():
    class Empty(dspy.Module):
        pass

    with pytest.raises(PLDError, match="Empty has no predictor"):
        labelled_predictors(Empty(), [dspy.Example(question="q", answer="a").with_inputs("question")])
