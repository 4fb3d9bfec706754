import dspy
import numpy as np
import pytest
from fakes import FakeContext
from scripted import examples, scripted

from pld_dspy.rules import MicroRule, RuleSet
from pld_dspy.synthesis.unions import MOST_RULES, unite_clusters


def micro(*pairs: tuple[str, str]) -> list[MicroRule]:
    return [MicroRule(predictor="self", example=example, rule=rule) for example, rule in pairs]


def united(rules, labels, lm, known=None) -> RuleSet:
    """The rules that clusters become; without a model there is no teacher."""
    context = FakeContext(lm=lm) if lm else FakeContext(teacher=None)
    return unite_clusters(context, rules, np.asarray(labels), "Answer.", {} if known is None else known)


RULES = micro(("a", "one"), ("b", "other one"), ("c", "two"), ("d", "two"), ("e", "lone"), ("f", "stray"))
LABELS = np.array([0, 0, 1, 1, 2, -1])


def test_one_rule_a_cluster_with_support_and_examples():
    lm = scripted(lambda prompt: {"rule": "If united,\nthen " + " & ".join(prompt.texts("rules"))})
    rules = united(RULES, LABELS, lm)
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
    context = FakeContext(lm=scripted(lambda prompt: reply), trainset=examples(1, answer="B"))
    rules = unite_clusters(context, RULES[:2], LABELS[:2], "Answer.", {})
    assert [rule.text for rule in rules.rules] == ["one"]


def test_a_big_cluster_is_shown_in_part_and_counted_whole():
    many = micro(*((str(i), f"rule {i}") for i in range(3 * MOST_RULES)))
    lm = scripted(lambda prompt: {"rule": f"If asked, there are {len(prompt.texts('rules'))} rules"})
    rules = united(many, [0] * len(many), lm)
    assert rules.rules[0].text == f"If asked, there are {MOST_RULES} rules"
    assert rules.rules[0].support == len(many)


def said(*triples: tuple[str, str, str]) -> list[MicroRule]:
    """Rules with their authors; "" for the teacher."""
    return [MicroRule(predictor="self", example=id, rule=rule, author=author) for id, rule, author in triples]


def one_cluster(rules: list[MicroRule], lm: dspy.LM, known=None):
    """The one rule that a cluster becomes."""
    (rule,) = united(rules, [0] * len(rules), lm, known).rules
    return rule


UNITED = "If several people say it, then it is so"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_one_person_wrote_stays_word_for_word_among_the_teachers_wordings(place):
    rules = said(("a", "teacher's one", ""), ("b", "teacher's two", ""))
    rules.insert(place, *said(("c", "a person's own", "Ada")))
    lm = scripted(lambda prompt: {"rule": UNITED})
    rule = one_cluster(rules, lm)
    assert rule.text == "a person's own"
    assert rule.authors == ("Ada",)
    assert rule.edits == (), "nothing was done to it"
    assert set(rule.examples) == {"a", "b", "c"}
    assert lm.engine.prompts == []


def test_the_same_words_of_two_people_stay_and_are_both_theirs():
    lm = scripted(lambda prompt: {"rule": UNITED})
    rule = one_cluster(said(("a", "same", "Ada"), ("b", "other", ""), ("c", "same", "Emmy"), ("d", "same", "Ada")), lm)
    assert (rule.text, rule.authors, rule.edits) == ("same", ("Ada", "Emmy"), ())
    assert lm.engine.prompts == []


def test_several_peoples_wordings_are_united_and_kept_in_the_history():
    lm = scripted(lambda prompt: {"rule": UNITED})
    rule = one_cluster(said(("a", "of the teacher", ""), ("b", "of Ada", "Ada"), ("c", "of Emmy", "Emmy")), lm)
    assert (rule.text, rule.authors, rule.examples) == (UNITED, ("Ada", "Emmy"), ("a", "b", "c"))
    (step,) = rule.edits
    assert step.before == ("of Ada", "of Emmy"), "the originals"
    assert (step.version, step.edit.operation, step.edit.text) == (0, "merge", UNITED)
    assert step.edit.ids == ("Ada/b", "Emmy/c")
    assert lm.engine.prompts[0].texts("rules") == ["of Ada", "of Emmy", "of the teacher"], "people first"


def test_two_wordings_of_one_person_are_united_and_kept_too():
    lm = scripted(lambda prompt: {"rule": UNITED})
    rule = one_cluster(said(("a", "first thought", "Ada"), ("b", "second thought", "Ada")), lm)
    assert (rule.text, rule.authors) == (UNITED, ("Ada",))
    assert rule.edits[0].before == ("first thought", "second thought")
    again = one_cluster(said(("a", "first thought", "Ada"), ("a", "second thought", "Ada")), lm)
    assert again.edits[0].edit.operation == "revise"
    assert again.edits[0].before == ("first thought", "second thought")


def test_where_the_teacher_fails_the_first_persons_wording_stands_and_the_other_is_in_the_history():
    lm = scripted(lambda prompt: {"rule": "No."})
    rule = one_cluster(said(("a", "of the teacher", ""), ("b", "of Ada", "Ada"), ("c", "of Emmy", "Emmy")), lm)
    assert rule.text == "of Ada"
    assert rule.authors == ("Ada", "Emmy")
    assert rule.edits[0].before == ("of Ada", "of Emmy")


def test_a_united_rule_that_no_person_had_a_part_in_has_no_history():
    rule = one_cluster(said(("a", "one", ""), ("b", "two", "")), scripted(lambda prompt: {"rule": UNITED}))
    assert (rule.text, rule.authors, rule.edits) == (UNITED, (), ())


def test_without_a_teacher_a_cluster_keeps_its_first_wording_a_persons_before_the_others():
    rules = [
        *said(("a", "one", ""), ("b", "two", "")),
        *said(("c", "three", ""), ("d", "four", "Ada"), ("e", "five", "Emmy")),
        *said(("f", "six", "")),
    ]
    found = united(rules, [0, 0, 1, 1, 1, -1], None)
    assert [(rule.text, rule.examples, rule.authors) for rule in found.rules] == [
        ("four", ("c", "d", "e"), ("Ada", "Emmy")),
        ("one", ("a", "b"), ()),
        ("six", ("f",), ()),
    ]
    assert found["R1"].edits[0].before == ("four", "five")
    assert found["R2"].edits == ()


def test_what_the_teacher_made_of_wordings_in_another_clustering_is_not_asked_again():
    lm, known = scripted(lambda prompt: {"rule": UNITED}), {}
    rules = said(("b", "of Ada", "Ada"), ("c", "of Emmy", "Emmy"))
    first = one_cluster(rules, lm, known=known)
    assert one_cluster(rules, lm, known=known) == first
    assert known == {("of Ada", "of Emmy"): UNITED}
    assert len(lm.engine.prompts) == 1


def test_rules_with_people_among_their_authors_are_read_as_they_were_written(tmp_path):
    several = said(("b", "of Ada", "Ada"), ("c", "of Emmy", "Emmy"))
    rules = united(several, [0, 0], None)
    assert rules["R1"].edits[0].edit.ids == ("Ada/b", "Emmy/c")
    rules.write(tmp_path / "rules.json")
    assert type(rules).read(tmp_path / "rules.json") == rules
