import dspy
import pytest
from scripted import examples, scripted

from pld_dspy.errors import PLDError
from pld_dspy.extraction.lessons import ATTEMPTS, Lesson, extract, lesson
from pld_dspy.programs import ScienceQA
from pld_dspy.run.runner import Runner
from pld_dspy.teacher import Teacher

GOOD = "If the question asks for the tense of a sentence, look for 'will': with it the tense is future."


def test_lesson_tells_the_teacher_the_answer_in_words_and_shows_the_picture():
    image = dspy.Image("data:image/png;base64,AAAA")
    example = dspy.Example(
        pid="5", question="Which?", choices=["cat", "dog"], context="", image=image, answer="B", lecture="Dogs bark."
    ).with_inputs("question", "choices", "context", "image")
    prepared = lesson(ScienceQA(), "answer", example)
    assert (prepared.id, prepared.answer, prepared.rationale) == ("5", "dog", "Dogs bark.")
    assert prepared.figures == [image]
    assert "[figure 1]" in prepared.text
    assert "dog" in prepared.text
    assert "answer" not in prepared.text, "the inputs must not carry the label"


def test_lesson_says_what_kind_of_question_the_data_call_it():
    example = dspy.Example(question="q?", answer="yes", skill="", topic="physics", subject="science")
    student = dspy.Predict("question -> answer")
    assert lesson(student, "self", example.with_inputs("question")).kind == "physics"
    assert lesson(student, "self", example.copy(skill="levers").with_inputs("question")).kind == "levers"
    assert lessons(1)[0].kind == ""


def lessons(n: int) -> list[Lesson]:
    student = dspy.Predict("question -> answer")
    return [lesson(student, "self", example) for example in examples(n)]


def test_a_refused_rule_is_written_once_more_with_the_reason():
    def script(prompt):
        return {"rule": GOOD if prompt.fields["refused"] else "Take option B."}

    lm, kept = scripted(script), []
    with dspy.context(lm=lm):
        found = extract(lessons(3), Teacher(), Runner(1), kept.append)
    assert [rule.example for rule in found] == ["q0", "q1", "q2"]
    assert found == kept
    assert {rule.rule for rule in found} == {GOOD}
    assert len(lm.engine.prompts) == 6
    assert lm.engine.prompts[1].fields["refused"].endswith("Cannot be used: the rule is empty or a fragment.")


def test_unusable_and_unreadable_replies_cost_only_their_example():
    def script(prompt):
        if "Is 1 " in prompt.fields["example"]:
            return "I would rather not."
        return {"rule": "No." if "Is 2 " in prompt.fields["example"] else GOOD}

    with dspy.context(lm=scripted(script)):
        found = extract(lessons(4), Teacher(), Runner(4))
    assert [rule.example for rule in found] == ["q0", "q3"]


@pytest.mark.parametrize("reply", ["gibberish", {"rule": ""}, {"rule": "Take (B) if you do not know."}])
def test_a_teacher_without_one_usable_rule_is_an_error_that_says_why(reply):
    lm = scripted(lambda prompt: reply)
    with dspy.context(lm=lm), pytest.raises(PLDError, match="no usable rule for any of 2 examples"):
        extract(lessons(2), Teacher(), Runner(2))
    assert len(lm.engine.prompts) <= 2 * max(ATTEMPTS, 2)  # DSPy asks twice for what it cannot read


def test_no_lessons_no_calls():
    assert extract([], Teacher(), Runner(1)) == []


def test_a_rule_may_not_repeat_its_example_or_the_teachers_demonstrations():
    example = dspy.Example(id="1", question="Did Mona go?", answer="yes").with_inputs("question")
    shown = Teacher().extract.demos[1]["example"].split("shows: ")[1].split("\n")[0]
    replies = iter(["If somebody asks whether Mona went, say yes.", f"If it shows {shown}, then say yes."])
    with dspy.context(lm=scripted(lambda prompt: {"rule": next(replies)})), pytest.raises(PLDError, match="quotes"):
        extract([lesson(dspy.Predict("question -> answer"), "self", example)], Teacher(), Runner(1))


class Two(dspy.Module):
    def __init__(self):
        super().__init__()
        self.find = dspy.Predict("question -> figure")
        self.answer = dspy.Predict("question, figure -> answer")


def test_each_predictors_lesson_has_its_own_labels_and_none_without_one():
    example = dspy.Example(question="q?", answer="yes", figure="2").with_inputs("question")
    assert lesson(Two(), "find", example).answer == "2"
    assert lesson(Two(), "answer", example).answer == "yes"
    assert lesson(Two(), "find", example.copy(figure="").with_inputs("question")) is None
    other = dspy.Example(question="q?", gold="yes").with_inputs("question")
    assert lesson(dspy.Predict("question -> answer"), "self", other) is not None
