import dspy
import pytest
from fakes import FakeContext
from scripted import examples, scripted

from pld_dspy.errors import PLDError
from pld_dspy.extraction import ATTEMPTS, Examples, Rationales, RewrittenRationales, extract, sources_of
from pld_dspy.extraction.lessons import lesson
from pld_dspy.programs import ScienceQA
from pld_dspy.rules import MicroRule
from pld_dspy.run import NOT_RUN, BudgetSpent, Outcome, RunFolder
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
    assert lesson(student, "self", examples(1)[0]).kind == ""


def extracted(lm, trainset, **attributes):
    """What the teacher writes about examples."""
    return extract(FakeContext(lm=lm, trainset=trainset, **attributes), [Examples()], ["self"])


def test_a_refused_rule_is_written_once_more_with_the_reason(tmp_path):
    def script(prompt):
        return {"rule": GOOD if prompt.fields["refused"] else "Take option B."}

    lm, folder = scripted(script), RunFolder(tmp_path / "run", {})
    found = extracted(lm, examples(3), folder=folder)
    assert [rule.example for rule in found] == ["q0", "q1", "q2"]
    assert found == folder.lines("micro_rules.jsonl", MicroRule), "as they are written, so that they can be taken up"
    assert {rule.rule for rule in found} == {GOOD}
    assert len(lm.engine.prompts) == 6
    assert lm.engine.prompts[1].fields["refused"].endswith("Cannot be used: the rule is empty or a fragment.")


def test_unusable_and_unreadable_replies_cost_only_their_example():
    def script(prompt):
        if "Is 1 " in prompt.fields["example"]:
            return "I would rather not."
        return {"rule": "No." if "Is 2 " in prompt.fields["example"] else GOOD}

    found = extracted(scripted(script), examples(4))
    assert [rule.example for rule in found] == ["q0", "q3"]


@pytest.mark.parametrize("reply", ["gibberish", {"rule": ""}, {"rule": "Yes. " * 99}])
def test_a_teacher_without_one_usable_rule_is_an_error_that_says_why(reply):
    lm = scripted(lambda prompt: reply)
    with pytest.raises(PLDError, match="no usable rule for any of 2 examples"):
        extracted(lm, examples(2))
    assert len(lm.engine.prompts) <= 2 * max(ATTEMPTS, 2)  # DSPy asks twice for what it cannot read


def test_no_labels_no_calls():
    lm = scripted(lambda prompt: {"rule": GOOD})
    for trainset in ([], [example.without("answer") for example in examples(2)]):
        with pytest.raises(PLDError, match=r"^The training examples have no labels: give each one its answer"):
            extracted(lm, trainset)
    assert lm.engine.prompts == []


def test_what_an_interrupted_run_has_learned_is_not_asked_again(tmp_path):
    folder = RunFolder(tmp_path / "run", {})
    folder.append("micro_rules.jsonl", MicroRule(predictor="self", example="q1", rule="If it is one, then count"))
    lm = scripted(lambda prompt: {"rule": GOOD})
    found = extracted(lm, examples(3), folder=folder)
    assert [(rule.example, rule.rule == GOOD) for rule in found] == [("q0", True), ("q1", False), ("q2", True)]
    assert len(lm.engine.prompts) == 2


def test_a_budget_that_ends_before_the_first_rule_says_so():
    context = FakeContext(trainset=examples(2))
    context.budget_used = lambda: 1.0
    context.ask = lambda role, question, items, purpose, id_of: [Outcome(None, NOT_RUN) for _ in items]
    with pytest.raises(BudgetSpent):
        extract(context, [Examples()], ["self"])


def test_a_rule_may_not_repeat_its_example_or_the_teachers_demonstrations():
    example = dspy.Example(id="1", question="Did Mona go?", answer="yes").with_inputs("question")
    shown = Teacher().extract.demos[1]["example"].split("shows: ")[1].split("\n")[0]
    replies = iter(["If somebody asks whether Mona went, say yes.", f"If it shows {shown}, then say yes."])
    with pytest.raises(PLDError, match="quotes"):
        extracted(scripted(lambda prompt: {"rule": next(replies)}), [example])


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


# Sources


def test_sources_go_by_their_names_and_stay_in_their_order():
    own = Rationales()
    assert [type(source) for source in sources_of("rewritten rationales")] == [RewrittenRationales]
    assert [source.name for source in sources_of(["rationales", "examples"])] == ["rationales", "examples"]
    assert sources_of(own) == sources_of([own]) == [own]
    assert sources_of("none") == sources_of(["none"]) == sources_of([]) == []


def test_two_sources_that_ask_the_teacher_are_refused():
    with pytest.raises(PLDError, match=r"^Two sources of rules ask the teacher: take one of them\.$"):
        sources_of(["examples", "rewritten rationales"])
    with pytest.raises(PLDError, match="Two sources of rules ask the teacher"):
        sources_of([Examples(), "examples"])


def test_what_is_no_source_is_refused_with_the_names_that_there_are():
    with pytest.raises(
        PLDError, match=r"^There is no extraction 'x'; there are: examples, rewritten rationales, rationales\.$"
    ):
        sources_of(["rationales", "x"])
    with pytest.raises(PLDError, match="the name of one, not from 5"):
        sources_of([5])
