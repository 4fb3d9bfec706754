import functools

import dspy
import pytest
from dspy.lm15 import ContextLengthError, RateLimitError, ServerError
from scripted import examples, scripted

from pld_dspy.errors import PLDError
from pld_dspy.identity import program_fingerprint
from pld_dspy.programs import ScienceQA
from pld_dspy.rules import RuleSet
from pld_dspy.run import BudgetSpent, RunFolder, Runner
from pld_dspy.statistics import percent
from pld_dspy.student import Evaluator, Scored, exact_match, in_words, instruct, score_of

STUDENT = dspy.Predict("question -> answer")
ANSWERED = dspy.Example(id="q7", question="q", answer="a").with_inputs("question"), dspy.Prediction(answer="a")


def yes_below(limit: int):
    return lambda prompt: {"answer": "yes" if int(prompt.fields["question"].split()[1]) < limit else "no"}


def test_scores_are_fractions_in_the_order_of_the_examples():
    with dspy.context(lm=scripted(yes_below(3))):
        found = Evaluator(exact_match(STUDENT), Runner(4))(STUDENT, examples(4), "scoring")
    assert [item.score for item in found.items] == [1, 1, 1, 0]
    assert [item.example for item in found.items] == ["q0", "q1", "q2", "q3"]
    assert found.score == 0.75
    assert found.prompt_tokens > 0
    assert [item.passed for item in found.items] == [True, True, True, False]


def kept(folder):
    return RunFolder(folder).lines("evaluations.jsonl", Scored)


def test_no_example_is_asked_twice_under_the_same_wording(tmp_path):
    lm = scripted(yes_below(3))
    with dspy.context(lm=lm):
        evaluate = Evaluator(exact_match(STUDENT), Runner(2), RunFolder(tmp_path))
        first = evaluate(STUDENT, examples(4), "scoring")
        assert evaluate(STUDENT.deepcopy(), examples(5), "again").items[:4] == first.items
        assert len(lm.engine.prompts) == len(kept(tmp_path)) == 5
        reworded = instruct(STUDENT, {"self": RuleSet.of([("if so, then yes", [])])})
        evaluate(reworded, examples(2), "reworded")
        assert len(lm.engine.prompts) == 7
        Evaluator(exact_match(STUDENT), Runner(2), RunFolder(tmp_path))(reworded, examples(2), "resumed")
        assert len(lm.engine.prompts) == 7


def test_what_the_model_refuses_or_garbles_scores_nothing_and_says_why(tmp_path):
    def script(prompt):
        if "Is 0 " in prompt.fields["question"]:
            raise ContextLengthError("too long")
        return "" if "Is 1 " in prompt.fields["question"] else {"answer": "yes"}

    with dspy.context(lm=scripted(script)):
        found = Evaluator(exact_match(STUDENT), Runner(2), RunFolder(tmp_path))(STUDENT, examples(3), "scoring")
    assert [item.score for item in found.items] == [0, 0, 1]
    assert len(kept(tmp_path)) == 3
    assert "too long" in found.items[0].error
    assert "unreadable" in found.items[1].error
    assert found.errors == 2
    lm = scripted(lambda prompt: {"answer": "yes"})
    with dspy.context(lm=lm):
        again = Evaluator(exact_match(STUDENT), Runner(1), RunFolder(tmp_path))(STUDENT, examples(3), "resumed")
    assert again.score == 1
    assert len(lm.engine.prompts) == 2, "only what had failed is asked again"


def test_a_metric_that_raises_is_named_with_the_example():
    def broken(example, prediction):
        return example.missing

    with dspy.context(lm=scripted(yes_below(9))), pytest.raises(PLDError, match="metric broken failed on example q"):
        Evaluator(broken, Runner(2))(STUDENT, examples(3), "scoring")


class Counting(dspy.Module):
    """A program that works with its predictor's answer."""

    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")

    def forward(self, question):
        return dspy.Prediction(answer="yes" if int(self.predict(question=question).answer) else "no")


def test_an_answer_that_the_program_or_the_metric_cannot_work_with_scores_nothing_and_the_others_go_on():
    def script(prompt):
        return {"answer": "one" if "Is 2 " in prompt.fields["question"] else "1"}

    runner = Runner(2)
    with dspy.context(lm=scripted(script)):
        found = Evaluator(exact_match(STUDENT), runner)(Counting(), examples(4), "scoring")
    assert found.scores == [1, 1, 0, 1]
    assert found.items[2].error.startswith("ValueError: invalid literal for int")
    assert [(failure.kind, failure.item) for failure in runner.failures] == [("no use", "q2")]

    def numbers(example, prediction):
        return int(prediction.answer)

    with dspy.context(lm=scripted(script)):
        found = Evaluator(numbers, Runner(2))(STUDENT, examples(4), "scoring")
    assert found.scores == [1, 1, 0, 1]
    assert "metric numbers failed on example q2" in found.items[2].error


def test_what_gets_no_reply_has_no_score_and_is_asked_again_the_next_time(tmp_path):
    busy = {"q": True}

    def script(prompt):
        if busy["q"] and "Is 1 " in prompt.fields["question"]:
            raise RateLimitError("slow down")
        return {"answer": "yes"}

    lm, runner = scripted(script), Runner(1)
    evaluate = Evaluator(exact_match(STUDENT), runner, RunFolder(tmp_path))
    with dspy.context(lm=lm):
        found = evaluate(STUDENT, examples(3), "scoring")
        assert [item.score for item in found.items] == [1, None, 1]
        assert (found.score, found.failed, found.errors) == (1, 1, 0)
        assert [item.example for item in kept(tmp_path)] == ["q0", "q2"]
        busy["q"] = False
        assert evaluate(STUDENT, examples(3), "scoring").scores == [1, 1, 1]
    assert len(lm.engine.prompts) == 2 + 3 + 1, "three times while it was busy"


def test_a_metric_whose_judge_is_busy_once_is_asked_again():
    judge, turns = dspy.Predict("answer -> verdict"), []

    def script(prompt):
        if "verdict" in prompt.outputs:
            turns.append(prompt)
            if len(turns) == 2:
                raise ServerError("busy")
            return {"verdict": "good"}
        return {"answer": "yes"}

    def judged(example, prediction):
        return judge(answer=prediction.answer).verdict == "good"

    with dspy.context(lm=scripted(script)):
        found = Evaluator(judged, Runner(1))(STUDENT, examples(3), "scoring")
    assert found.scores == [1, 1, 1]


def test_a_model_without_any_reply_is_no_result():
    def script(prompt):
        raise RateLimitError("slow down")

    with dspy.context(lm=scripted(script)), pytest.raises(PLDError, match=r"no reply to 1 questions: .*slow down"):
        Evaluator(exact_match(STUDENT), Runner(1))(STUDENT, examples(1), "scoring")


def test_half_an_evaluation_is_none_but_its_scores_are_kept(tmp_path):
    runner = Runner(1, max_lm_calls=2)
    with dspy.context(lm=scripted(yes_below(9))), pytest.raises(BudgetSpent):
        Evaluator(exact_match(STUDENT), runner, RunFolder(tmp_path))(STUDENT, examples(3), "scoring")
    assert [scored.example for scored in kept(tmp_path)] == ["q0", "q1"]


def test_exact_match_compares_labelled_outputs_only():
    two = dspy.Predict("question -> answer, unit")
    example = dspy.Example(question="q", answer=" 12 KM", unit="km").with_inputs("question")
    metric = exact_match(two)
    assert metric(example, dspy.Prediction(answer="12 km", unit="KM")) == 1
    assert metric(example, dspy.Prediction(answer="12 km", unit="m")) == 0
    assert metric(example.without("unit"), dspy.Prediction(answer="12 km", unit="m")) == 1
    with pytest.raises(PLDError, match="gold"):
        metric(dspy.Example(question="q", gold="x").with_inputs("question"), dspy.Prediction(answer="x"))


def test_fingerprints_tell_wordings_apart():
    other = STUDENT.deepcopy()
    assert program_fingerprint(other) == program_fingerprint(STUDENT)
    other.demos = [dspy.Example(question="a", answer="b")]
    assert program_fingerprint(other) != program_fingerprint(STUDENT)


def test_answers_in_words():
    example = dspy.Example(question="q", choices=["cat", "dog"], answer="B").with_inputs("question", "choices")
    assert in_words(ScienceQA(), example, example.labels()) == "dog"
    assert in_words(ScienceQA(), example, dspy.Prediction(answer="no idea")) == "no idea"
    assert in_words(STUDENT, example, dspy.Prediction(reasoning="long", answer="B")) == "B"
    reasoner = dspy.ChainOfThought("question -> answer")
    assert in_words(reasoner, example, dspy.Prediction(reasoning="long", answer="B")) == "B"


@pytest.mark.parametrize(
    "metric",
    [
        lambda example, prediction: True,
        lambda example, prediction, trace=None: 1,
        lambda example, prediction, trace: 1.0 if trace is None else 0.0,
        lambda gold, pred, trace, pred_name, pred_trace: 1.0,
        lambda gold, pred, trace=None, pred_name=None, pred_trace=None: dspy.Prediction(score=1.0, feedback="good"),
        lambda *arguments: len(arguments) == 2,
        lambda example, prediction: {"score": 1, "feedback": "good"},
        functools.partial(lambda threshold, example, prediction: threshold < 5, 3),
    ],
)
def test_every_metric_of_dspy_scores(metric):
    assert score_of(metric, *ANSWERED) == 1.0


@pytest.mark.parametrize("found", [None, {"feedback": "good"}, "good", [1, 2], float("nan"), float("inf")])
def test_what_is_no_score_is_said_with_the_example(found):
    def odd(example, prediction):
        return found

    with pytest.raises(PLDError, match=r"metric (odd|gave) .*on example q7") as said:
        score_of(odd, *ANSWERED)
    assert "KeyError" not in str(said.value)


def test_a_score_beyond_one_is_warned_about_once(caplog):
    with dspy.context(lm=scripted(yes_below(9))):
        found = Evaluator(lambda *_: 85, Runner(1))(STUDENT, examples(4), "scoring")
    assert found.score == 85
    (record,) = caplog.records
    assert record.getMessage() == "The metric gave 85 on example q0: scores should be from 0 to 1."
    assert (percent(found.score), percent(0.85), percent(1), percent(None)) == ("85.0", "85.0%", "100.0%", "–")


def test_what_the_metric_says_of_an_answer_is_kept_and_bounded(tmp_path):
    def strict(gold, pred, trace=None, pred_name=None, pred_trace=None):
        return dspy.Prediction(score=0.0, feedback="Too short. " * 1000)

    with dspy.context(lm=scripted(yes_below(9))):
        found = Evaluator(strict, Runner(1), RunFolder(tmp_path))(STUDENT, examples(2), "scoring")
    assert found.items[0].feedback.startswith("Too short. ")
    assert len(found.items[0].feedback) == 4_000
    assert [item.feedback for item in kept(tmp_path)] == [item.feedback for item in found.items]
