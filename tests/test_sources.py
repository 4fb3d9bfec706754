"""Which sources go together, with which teacher, and which predictors they write for."""

import dspy
import pytest
from fakes import FakeContext
from scripted import examples, scripted

from pld_dspy import MicroRule, PLDError, PLDTeleprompter
from pld_dspy.extraction import People, Rationales, extract
from pld_dspy.models.embedders import tfidf
from pld_dspy.run import Budget

TRAINSET = examples(4, solution="Numbers are what people use for counting things.")
RULE = MicroRule(predictor="think", example="1", rule="If it is hard, then think twice.", author="Ann")


class TwoSteps(dspy.Module):
    """Its first predictor has no labels, and learns from traces."""

    def __init__(self):
        super().__init__()
        self.think = dspy.Predict("question -> thought")
        self.decide = dspy.Predict("question, thought -> answer")

    def forward(self, question):
        return self.decide(question=question, thought=self.think(question=question).thought)


def world(prompt):
    if "rule" in prompt.outputs:
        return {"rule": "If the question asks about a number, then say yes to it.", "reasoning": "So."}
    return {"thought": "hm", "answer": "yes"}


def compiled(teacher=None, **arguments):
    lm = scripted(world)
    with dspy.context(lm=lm):
        teleprompter = PLDTeleprompter(embedder=tfidf, budget=Budget(max_iterations=0), num_threads=1, **arguments)
        return teleprompter.compile(TwoSteps(), trainset=TRAINSET, valset=TRAINSET, teacher=teacher)


def test_people_may_write_for_a_predictor_that_learns_from_traces_only():
    rules = compiled(extraction=[People([RULE]), "examples"]).pld.candidates[0].rules
    assert (RULE.rule, ("Ann",)) in [(rule.text, rule.authors) for rule in rules["think"].rules]
    assert len(rules["decide"]) == 1


def test_without_traces_it_learns_nothing_and_people_are_told_so_before_a_model_is_asked():
    lm = scripted(world)
    with dspy.context(lm=lm), pytest.raises(PLDError, match="'think', which learns no rules; those that do: decide"):
        PLDTeleprompter(embedder=tfidf, extraction=People([RULE])).compile(TwoSteps(), trainset=TRAINSET)
    assert lm.engine.prompts == []


def test_sentences_of_the_data_teach_predictors_with_labels_only():
    context = FakeContext(student=TwoSteps(), trainset=TRAINSET)
    assert {rule.predictor for rule in extract(context, [Rationales()], ["think", "decide"])} == {"decide"}


@pytest.mark.parametrize("teacher", ["none", "rationales"])
def test_a_teacher_without_a_model_rewrites_nothing(teacher):
    with pytest.raises(PLDError, match=f"'{teacher}' does not go with the extraction 'rewritten rationales'"):
        compiled(teacher, extraction=[People([RULE]), "rewritten rationales"])


@pytest.mark.parametrize(("teacher", "extraction"), [("none", "examples"), (None, "none"), (None, [])])
def test_without_a_source_there_is_nothing_to_compile(teacher, extraction):
    with pytest.raises(PLDError, match="There is no source of rules: name an extraction, or give people's rules"):
        compiled(teacher, extraction=extraction)
