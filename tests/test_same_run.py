"""A run goes on where it is the same run: by what decides its results, and example by example."""

import threading
from typing import ClassVar

import dspy
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from pydantic import BaseModel
from same import Thing, closure
from scripted import examples, scripted

from pld_dspy import PLDError, PLDTeleprompter
from pld_dspy.clustering import tfidf
from pld_dspy.context import Compile
from pld_dspy.examples import example_id, told_apart
from pld_dspy.experiment import Task
from pld_dspy.experiment.scoring import score
from pld_dspy.extraction import Examples, People
from pld_dspy.resolution.diagnosis import rules_from
from pld_dspy.rules import HEADER, MicroRule
from pld_dspy.run import Budget, RunFolder, Runner
from pld_dspy.student import Evaluator, coverage, exact_match
from pld_dspy.teacher import Teacher

NOUNS = ["magnet", "river", "cell", "planet", "enzyme", "lever", "fossil", "cloud"]


def replies(prompt):
    """A rule of its own for each question, and yes to all of them once there are rules."""
    if "rule" in prompt.outputs:
        noun = next((noun for noun in NOUNS if noun in prompt.fields.get("example", "")), "thing")
        return {"rule": f"If the question is about one {noun}, look at its {noun} first.", "reasoning": "so"}
    return dict.fromkeys(prompt.outputs, "yes" if HEADER in prompt.system else "no")


def calls(lm):
    """Those that the run folder remembers; the unions of rules are in DSPy's cache."""
    return sum("rules" not in prompt.fields for prompt in lm.engine.prompts)


def docs(**fields):
    """Questions that share an id."""
    return [
        dspy.Example(id="doc", question=f"Does a {noun} work?", answer="yes", **fields).with_inputs("question", *fields)
        for noun in NOUNS[:6]
    ]


def compiled(folder, lm, trainset, student=None, metric=None, **settings):
    with dspy.context(lm=lm):
        teleprompter = PLDTeleprompter(
            metric, embedder=tfidf, log_dir=folder, num_threads=1, budget=Budget(max_iterations=0), **settings
        )
        student = student or dspy.Predict("question -> answer")
        return teleprompter.compile(student, trainset=trainset, valset=examples(4))


def test_a_run_with_another_metric_adapter_or_model_is_not_gone_on_with(tmp_path):
    lm = scripted(replies)
    compiled(tmp_path, lm, examples(4), metric=closure(1))
    asked = calls(lm)
    compiled(tmp_path, lm, examples(4), metric=closure(1))
    assert calls(lm) == asked
    with pytest.raises(PLDError, match="another metric"):
        compiled(tmp_path, lm, examples(4), metric=closure(99))
    with pytest.raises(PLDError, match="another instructions"), dspy.context(adapter=dspy.JSONAdapter()):
        compiled(tmp_path, lm, examples(4), metric=closure(1))
    for other in (dspy.Predict("question -> answer: bool"), dspy.Predict("question -> answer", temperature=0.5)):
        with pytest.raises(PLDError, match="another instructions"):
            compiled(tmp_path, lm, examples(4), other, metric=closure(1))
    assert calls(lm) == asked


def test_a_score_belongs_to_its_metric(tmp_path):
    lm, program = scripted(replies), dspy.Predict("question -> answer")
    with dspy.context(lm=lm):
        scores = [
            Evaluator(metric, Runner(1), RunFolder(tmp_path, {}))(program, examples(2), "scoring").score
            for metric in (closure(1), closure(99), closure(1))
        ]
    assert scores == [1, 0, 1]
    assert len(lm.engine.prompts) == 4


def test_an_evaluation_with_another_metric_is_not_gone_on_with(tmp_path):
    lm, program = scripted(replies), dspy.Predict("question -> answer")
    program.metric = closure(1)
    task = Task("asking", "nowhere", program, {"test": examples(2)})
    assert score(task, "test", lm, log_dir=tmp_path).score == 1
    program.metric = closure(99)
    with pytest.raises(PLDError, match="another instructions, metric"):
        score(task, "test", lm, log_dir=tmp_path)


def test_scores_of_a_metric_that_cannot_be_seen_into_are_not_taken_over_and_a_warning_says_so_once(tmp_path, caplog):
    lock = threading.Lock()

    def metric(example, prediction, trace=None):
        with lock:
            return prediction.answer == "yes"

    lm = scripted(replies)
    compiled(tmp_path, lm, examples(4), metric=metric)
    assert [message for message in caplog.messages if "no stable content" in message] == [
        "The metric holds an object of the type _thread.lock that has no stable content: scores of this run will not "
        "be taken over."
    ]
    with pytest.raises(PLDError, match="another metric"):
        compiled(tmp_path, lm, examples(4), metric=metric)


class Front(BaseModel):
    front: dspy.Image


PIXELS = [dspy.Image(PIL.Image.new("RGB", (2, 2), (n, 0, 0))) for n in range(6)]
KINDS = {
    "set": lambda n: {f"{NOUNS[n]} {letter}" for letter in "abc"},
    "object": lambda n: Thing(noun=NOUNS[n]),
    "array": lambda n: np.arange(3) + n,
    "table": lambda n: pd.DataFrame({"x": [n, 1]}),
    "nested": lambda n: {"front": PIXELS[n], "more": [{"a": (PIXELS[n],)}]},
    "model": lambda n: Front(front=PIXELS[n]),
    "history": lambda n: dspy.History(messages=[{"question": PIXELS[n], "answer": "a"}]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_any_type_are_told_apart_and_a_run_on_them_goes_on(kind, tmp_path):
    def trainset():
        made = [dspy.Example(given=KINDS[kind](n), question=NOUNS[n], answer="yes") for n in range(6)]
        return [example.with_inputs("given", "question") for example in made]

    lm, student = scripted(replies), dspy.Predict(dspy.Signature("given: dict, question -> answer"))
    run = compiled(tmp_path, lm, trainset(), student)
    assert len({example_id(example) for example in trainset()}) == 6
    assert len({id for rule in run.pld.rules["self"].rules for id in rule.examples}) == 6
    asked = calls(lm)
    compiled(tmp_path, lm, trainset(), student)
    assert calls(lm) == asked


def test_examples_that_share_an_id_have_each_a_rule_of_their_own(tmp_path):
    lm, trainset = scripted(replies), docs()
    run = compiled(tmp_path, lm, trainset)
    assert sum("rule" in prompt.outputs and "example" in prompt.fields for prompt in lm.engine.prompts) == 6
    assert len({id for rule in run.pld.rules["self"].rules for id in rule.examples}) == 6
    assert run.pld.coverage.covered == coverage(run.pld.in_prompt, trainset, ()).covered == 6
    for example in told_apart(trainset):
        noun = example.question.split()[2]
        found = {rule.text for _, rule in rules_from(example, run.pld.rules) if len(rule.examples) == 1}
        assert all(noun in text for text in found)
    assert [example.toDict() for example in trainset] == [example.toDict() for example in docs()]


ANSWERS = {}


class Keeping(dspy.Module):
    """Keeps its answers where the next question finds them."""

    asked: ClassVar[list[str]] = []

    def __init__(self):
        super().__init__()
        self.ask, self.last = dspy.Predict("question -> answer"), {}

    def forward(self, question):
        self.asked.append(question)
        self.last[question] = len(self.asked)
        if question not in ANSWERS:
            ANSWERS[question] = self.ask(question=question)
        return dspy.Prediction(answer=ANSWERS[question].answer)


def test_a_program_that_keeps_its_answers_is_the_same_program_all_the_time():
    ANSWERS.clear()
    lm, program = scripted(replies), Keeping()
    with dspy.context(lm=lm):
        evaluate = Evaluator(exact_match(program), Runner(1))
        first = evaluate(program.deepcopy(), examples(3), "scoring")
        assert Keeping.asked
        assert ANSWERS
        ANSWERS.clear()
        assert evaluate(program.deepcopy(), examples(3), "scoring").items == first.items
    assert len(lm.engine.prompts) == 3


class Two(dspy.Module):
    def __init__(self):
        super().__init__()
        self.find = dspy.Predict("question -> place")
        self.answer = dspy.Predict("question, place -> answer")

    def forward(self, question):
        return self.answer(question=question, place=self.find(question=question).place)


def context(program, lm, trainset):
    return Compile(
        student=program, student_lm=lm, teacher=Teacher(), teacher_lm=lm, trainset=trainset, valset=[],
        metric=exact_match(program), embedder=tfidf, runner=Runner(1), folder=RunFolder(None),
    )  # fmt: skip


def test_with_two_predictors_a_question_is_shown_with_its_own_answer():
    def script(prompt):
        noun = next(noun for noun in NOUNS if noun in f"{prompt.fields.get('question')} {prompt.fields.get('example')}")
        if "rule" in prompt.outputs:
            return replies(prompt)
        return dict.fromkeys(prompt.outputs, f"the {noun}")

    trainset = [
        dspy.Example(id="doc", question=f"Which {noun}?", answer=f"the {noun}").with_inputs("question")
        for noun in NOUNS[:6]
    ]
    lm = scripted(script)
    rules = Examples().micro_rules(context(Two(), lm, trainset), ["find", "answer"])
    assert len({(rule.predictor, rule.example) for rule in rules}) == 12
    shown = [prompt.fields for prompt in lm.engine.prompts if "rule" in prompt.outputs]
    for noun in NOUNS[:6]:
        own = [fields for fields in shown if f"Which {noun}?" in fields["example"]]
        assert len(own) == 2
        assert all(fields["answer"] == f"the {noun}" for fields in own)


def test_only_an_id_that_is_unique_is_kept_and_equal_examples_share_one():
    first, second, third = dspy.Example(id="a", q=1), dspy.Example(id="a", q=2), dspy.Example(pid=7, q=3)
    assert [example_id(example) for example in told_apart([first, third, first.copy()])] == ["a", "7", "a"]
    apart = told_apart([first, third, second, dspy.Example(id="7", q=4)])
    assert len({example_id(example) for example in apart}) == 4
    assert not {example_id(example) for example in apart} & {"a", "7"}
    assert told_apart(apart) == apart
    assert [example_id(example) for example in (first, second)] == ["a", "a"], "as they came"


def test_peoples_rules_name_examples_by_an_id_that_is_unique(tmp_path):
    rules = [MicroRule(predictor="", example=id, rule=f"If {id} is asked, look at it.") for id in ("q1", "q2")]
    run = compiled(tmp_path, scripted(replies), examples(4), extraction=People(rules))
    assert {id for rule in run.pld.rules["self"].rules for id in rule.examples} == {"q1", "q2"}
    assert run.pld.coverage.covered == 2


def test_the_teacher_sees_each_figure_that_the_student_sees(tmp_path):
    lm = scripted(replies)
    made = [dspy.Example(given=KINDS["nested"](n), question=NOUNS[n], answer="yes") for n in range(6)]
    student = dspy.Predict(dspy.Signature("given: dict, question -> answer"))
    compiled(tmp_path, lm, [example.with_inputs("given", "question") for example in made], student)
    lessons = [prompt for prompt in lm.engine.prompts if "rule" in prompt.outputs and "example" in prompt.fields]
    assert len(lessons) == 6
    for prompt in lessons:
        assert 'given: {"front": "[figure 1]", "more": [{"a": ["[figure 2]"]}]}' in prompt.fields["example"]
        assert len(prompt.figures) == 2
        assert "ENCODED" not in prompt.fields["example"]
