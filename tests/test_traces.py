import dspy
import pytest
from dspy.lm15 import ContextLengthError
from scripted import examples, scripted

from pld_dspy.context import Compile
from pld_dspy.extraction import Examples
from pld_dspy.extraction.lessons import lesson
from pld_dspy.extraction.traces import Turn, passed_traces
from pld_dspy.identity import program_fingerprint
from pld_dspy.models.embedders import tfidf
from pld_dspy.rules import HEADER
from pld_dspy.run import Meter, RunFolder, Runner
from pld_dspy.student import exact_match
from pld_dspy.teacher import Teacher

IMAGE = dspy.Image("data:image/png;base64,AAAA")


class Two(dspy.Module):
    """Finds a figure, then answers."""

    def __init__(self):
        super().__init__()
        self.find = dspy.Predict("question -> figure")
        self.answer = dspy.ChainOfThought("question, figure -> answer")

    def forward(self, question):
        return self.answer(question=question.upper(), figure=self.find(question=question).figure)


class Again(dspy.Module):
    """Asks the same predictor twice."""

    def __init__(self):
        super().__init__()
        self.improve = dspy.Predict("question, draft -> answer")

    def forward(self, question):
        draft = self.improve(question=question, draft="none yet").answer
        return self.improve(question=question, draft=draft)


def teaching(prompt):
    """Finds the figure of the question's number, and says yes to all questions but the second."""
    question = prompt.fields["question"].split("\n")[0]
    if "figure" in prompt.outputs:
        return {"figure": f"figure {question.split()[1]}"}
    return {"answer": "no" if "1" in question else "yes", "reasoning": f"because of {prompt.fields['figure']}"}


def refusing(prompt):
    raise AssertionError("the student's own model was asked")


def context_of(program, lm, trainset, metric=None, runner=None):
    """A context whose teacher's model is `lm`; the student's model is not to be asked."""
    return Compile(
        student=program,
        student_lm=scripted(refusing),
        teacher=Teacher(),
        teacher_lm=lm,
        trainset=trainset,
        valset=[],
        metric=metric or exact_match(program),
        embedder=tfidf,
        runner=runner or Runner(2),
        folder=RunFolder(None),
    )


def traced(program, lm, trainset, metric=None, runner=None):
    """What `passed_traces` finds, and nothing but `lm` was asked."""
    with dspy.context(lm=scripted(refusing)):
        return passed_traces(context_of(program, lm, trainset, metric, runner))


def test_each_predictors_own_inputs_and_outputs_are_kept_where_the_answer_is_right():
    found = traced(Two(), scripted(teaching), examples(3))
    assert list(found) == ["q0", "q2"], "the second answer is wrong"
    for id, number in (("q0", 0), ("q2", 2)):
        assert found[id] == {
            "find": Turn({"question": f"Is {number} a number?"}, {"figure": f"figure {number}"}),
            "answer.predict": Turn(
                {"question": f"IS {number} A NUMBER?", "figure": f"figure {number}"},
                {"reasoning": f"because of figure {number}", "answer": "yes"},
            ),
        }


@pytest.mark.parametrize(("score", "kept"), [(0.49, False), (0.5, True), (1, True), (True, True), (False, False)])
def test_an_answer_is_right_as_the_metric_says(score, kept):
    found = traced(Two(), scripted(teaching), examples(2), metric=lambda example, prediction: score)
    assert list(found) == (["q0", "q1"] if kept else [])


def test_the_metric_gets_the_example_and_what_the_program_answers():
    seen = {}

    def metric(example, prediction):
        seen[example.id] = prediction.answer
        return True

    traced(Two(), scripted(teaching), examples(3), metric)
    assert seen == {"q0": "yes", "q1": "no", "q2": "yes"}


def test_the_students_own_model_is_not_asked_and_the_program_stays_as_it_is():
    program, own, teacher = Two(), scripted(refusing), scripted(teaching)
    program.set_lm(own)
    before = program_fingerprint(program)
    assert len(traced(program, teacher, examples(3))) == 2
    assert own.engine.prompts == []
    assert len(teacher.engine.prompts) == 6
    assert [predictor.lm for predictor in program.predictors()] == [own, own]
    assert program_fingerprint(program) == before


def test_the_predictors_work_as_the_program_has_them():
    program = Two()
    program.find.signature = program.find.signature.with_instructions(f"{HEADER}\n- If lost, look")
    lm = scripted(teaching)
    traced(program, lm, examples(1))
    assert "- If lost, look" in next(prompt.system for prompt in lm.engine.prompts if "figure" in prompt.outputs)


def test_calls_count_as_the_teachers():
    meter, runner, lm = Meter(), Runner(2), scripted(teaching)
    with dspy.context(usage_tracker=meter):
        traced(Two(), lm, examples(4), runner=runner)
    used = runner.usage()["teacher"]["scripted"]
    assert used.calls == len(lm.engine.prompts) == 8
    assert used.prompt_tokens == sum(prompt.tokens for prompt in lm.engine.prompts)
    assert runner.usage()["student"] == {}
    assert meter.by_model() == {}, "whatever else the caller counts"


def test_the_callers_own_trace_gets_nothing():
    outer = []
    with dspy.context(trace=outer):
        traced(Two(), scripted(teaching), examples(2))
    assert outer == []


def test_what_the_teacher_cannot_answer_is_left_out():
    def script(prompt):
        question = prompt.fields["question"]
        if "0" in question:
            raise ContextLengthError("too long")
        return "I would rather not." if "2" in question else teaching(prompt) | {"answer": "yes"}

    assert list(traced(Two(), scripted(script), examples(4))) == ["q1", "q3"]


def test_a_spent_budget_leaves_the_rest_untraced():
    runner = Runner(1, max_lm_calls=3)
    found = traced(Two(), scripted(teaching), examples(6)[2:], runner=runner)
    assert list(found) == ["q2", "q3"]
    assert runner.spent


def test_an_example_without_an_id_goes_by_its_fingerprint():
    pair = [dspy.Example(question=f"Is {n} one?", answer="yes").with_inputs("question") for n in (3, 4)]
    found = traced(Two(), scripted(teaching), pair)
    assert len(found) == 2
    assert all(len(id) == 12 for id in found)


def test_of_a_predictor_that_is_called_twice_the_last_turn_is_kept():
    def script(prompt):
        return {"answer": "maybe" if prompt.fields["draft"] == "none yet" else "yes"}

    found = traced(Again(), scripted(script), examples(1))
    assert found == {"q0": {"improve": Turn({"question": "Is 0 a number?", "draft": "maybe"}, {"answer": "yes"})}}


def test_no_examples_ask_nothing():
    context = context_of(Two(), scripted(teaching), examples(1))
    context.trainset = []
    assert passed_traces(context) == {}
    assert context.teacher_lm.engine.prompts == []


# What the teacher is told of a turn

TURN = Turn({"question": "IS 0 A NUMBER?", "figure": "figure 7"}, {"reasoning": "it shows", "answer": "certainly"})
FOUND = Turn({"question": "Is 0 a number?"}, {"figure": "figure 7", "page": "3"})


def test_a_lesson_with_a_turn_shows_what_the_predictor_itself_got():
    example = examples(1)[0]
    told = lesson(Two(), "answer.predict", example, TURN)
    assert told.text == "question: IS 0 A NUMBER?\nfigure: figure 7"
    assert lesson(Two(), "answer.predict", example).text == "question: Is 0 a number?"
    assert (told.id, told.predictor, told.figures) == ("q0", "answer.predict", [])


def test_the_label_is_the_answer_where_there_is_one_whatever_the_turn_says():
    assert lesson(Two(), "answer.predict", examples(1)[0], TURN).answer == "yes"


def test_without_a_label_the_answer_is_what_the_predictor_gave():
    assert lesson(Two(), "find", examples(1)[0], FOUND).answer == "figure 7\n3"
    assert lesson(Two(), "find", examples(1)[0]).answer == "yes", "without a turn all labels are the answer"
    other = dspy.Example(id="1", question="?", gold="sure").with_inputs("question")
    assert lesson(Two(), "answer.predict", other, TURN).answer == "certainly", "its reasoning is no part of the answer"


def test_an_example_whose_own_label_is_empty_gives_no_lesson_with_a_turn_either():
    example = examples(1, figure="")[0]
    assert lesson(Two(), "find", example, FOUND) is None
    assert lesson(Two(), "answer.predict", example, TURN).answer == "yes"


def test_figures_that_a_predictor_got_are_shown():
    told = lesson(Two(), "find", examples(1)[0], Turn({"images": [IMAGE, IMAGE]}, {"figure": "figure 2"}))
    assert told.figures == [IMAGE, IMAGE]
    assert "[figure 2]" in told.text


def test_a_traced_turn_makes_a_lesson_for_a_predictor_without_labels():
    found = traced(Two(), scripted(teaching), examples(1))
    told = lesson(Two(), "find", examples(1)[0], found["q0"]["find"])
    assert (told.text, told.answer) == ("question: Is 0 a number?", "figure 0")


def test_with_traces_predictors_without_labels_learn_too():
    def script(prompt):
        if "rule" in prompt.outputs:
            return {"rule": "If the question asks whether it is a number, then look for digits.", "reasoning": "so"}
        return teaching(prompt)

    context = context_of(Two(), scripted(script), examples(2))
    rules = Examples().micro_rules(context, ["answer.predict"])
    assert [(rule.predictor, rule.example) for rule in rules] == [
        ("find", "q0"),
        ("answer.predict", "q0"),
        ("answer.predict", "q1"),
    ], "the second answer is wrong, but labelled"
