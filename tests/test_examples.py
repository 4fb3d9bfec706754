import dspy
import pytest

from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id, fingerprint, labelled_predictors, present, rationale

PIXEL = dspy.Image("data:image/png;base64,AAAA")
OTHER = dspy.Image("data:image/png;base64,BBBB")


def test_present_numbers_figures_across_fields_and_leaves_out_what_is_empty():
    case = present({"question": "Why?", "context": "", "image": None, "choices": ["a", "b"], "figures": [PIXEL, OTHER]})
    assert case.text == "question: Why?\nchoices:\na\nb\nfigures:\n[figure 1]\n[figure 2]"
    assert case.figures == [PIXEL, OTHER]
    assert present({"image": PIXEL}, first_figure=4).text == "image: [figure 4]"


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
