import dspy
import pytest
from scripted import examples, scripted

from pld_dspy.errors import PLDError
from pld_dspy.extraction import ATTEMPTS, Lesson, extract, flaw, lesson
from pld_dspy.runner import Runner
from pld_dspy.teacher import Teacher
from programs import ScienceQA

LESSON = Lesson(
    predictor="answer",
    id="1",
    task="Answer.",
    text="question: Which tense does the sentence that Mona wrote in 1998 use?\n"
    "choices:\npast\nfuture\nFiji\nNewton\n7",
    figures=[],
    answer="future",
    rationale="Verbs with will are future. A week has 7 days, says Newton. Mona wrote will: future.",
    lecture="Verbs with will are future. A week has 7 days, says Newton.",
)
GOOD = "If the question asks for the tense of a sentence, look for 'will': with it the tense is future."


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (GOOD, None),
        ("If the question asks for days, think of Newton and the 7 days of a week.", None),
        ("", "empty"),
        ("Future tense.", "fragment"),
        ("If this is so then check that. " * 20, "more than"),
        ("If the question asks for a tense, then choose option B at once.", "letter"),
        ("If the question asks for a tense, then (B) is the one to take.", "letter"),
        ("If the question asks for a tense, the answer is A in most cases.", "letter"),
        ("If a sentence has will in it, as in this example, choose future tense.", "in this example"),
        ("If it says which tense does the sentence that mona wrote use, look for will.", "quotes"),
        ("If the sentence that is given, like Mona wrote it, has will, choose future.", "Mona"),
        ("If the sentence has will in it, take future. Mona used will.", "Mona"),
        ("If the question asks for a place, look at the map: Fiji is the right one.", "Fiji"),
        ("A sentence with the word will is always in the future tense.", "does not say when"),
        ("If the sentence is older than 1998 then its verb has a past form.", "1998"),
    ],
)
def test_flaw(rule, problem):
    found = flaw(rule, LESSON)
    assert (found is None) if problem is None else (problem in found)


def test_a_demonstration_must_not_come_back_as_a_rule():
    shown = "The picture shows: a traffic light with its lowest lamp lit, above a blue car."
    assert "lowest lamp" in flaw("If it burns, a traffic light with its lowest lamp lit is shown.", LESSON, shown)


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
