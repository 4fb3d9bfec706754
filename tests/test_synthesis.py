import dspy
import numpy as np
import pytest
from scripted import scripted

from pld_dspy.rules import MicroRule
from pld_dspy.runner import Runner
from pld_dspy.synthesis import MOST_RULES, synthesise
from pld_dspy.teacher import Teacher


def micro(*pairs: tuple[str, str]) -> list[MicroRule]:
    return [MicroRule(predictor="self", example=example, rule=rule) for example, rule in pairs]


RULES = micro(("a", "one"), ("b", "other one"), ("c", "two"), ("d", "two"), ("e", "lone"), ("f", "stray"))
LABELS = np.array([0, 0, 1, 1, 2, -1])


def test_one_rule_a_cluster_with_support_and_examples():
    lm = scripted(lambda prompt: {"rule": "If united,\nthen " + " & ".join(prompt.texts("rules"))})
    with dspy.context(lm=lm):
        rules = synthesise(RULES, LABELS, "Answer.", Teacher(), Runner(2))
    assert [(rule.id, rule.text, rule.examples) for rule in rules.rules] == [
        ("R1", "If united, then one & other one", ("a", "b")),
        ("R2", "two", ("c", "d")),
        ("R3", "lone", ("e",)),
        ("R4", "stray", ("f",)),
    ]
    assert len(lm.engine.prompts) == 1, "a cluster with one wording needs no teacher"
    assert lm.engine.prompts[0].fields["task"] == "Answer."


@pytest.mark.parametrize("reply", ["no", {"rule": "Take option (B) if you must choose."}])
def test_a_reply_that_is_no_rule_keeps_the_first_wording(reply):
    with dspy.context(lm=scripted(lambda prompt: reply)):
        rules = synthesise(RULES[:2], LABELS[:2], "Answer.", Teacher(), Runner(1))
    assert [rule.text for rule in rules.rules] == ["one"]


def test_a_big_cluster_is_shown_in_part_and_counted_whole():
    many = micro(*((str(i), f"rule {i}") for i in range(3 * MOST_RULES)))
    lm = scripted(lambda prompt: {"rule": f"If asked, there are {len(prompt.texts('rules'))} rules"})
    with dspy.context(lm=lm):
        rules = synthesise(many, np.zeros(len(many), dtype=int), "Answer.", Teacher(), Runner(1))
    assert rules.rules[0].text == f"If asked, there are {MOST_RULES} rules"
    assert rules.rules[0].support == len(many)
