import itertools
import math
import random
from collections import Counter

import dspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import examples, scripted

from pld_dspy.examples import answer_fields
from pld_dspy.models.embedders import tfidf
from pld_dspy.resolution.diagnosis import (
    FOLLOWED,
    Answered,
    asking,
    batches,
    describe,
    failed,
    in_front,
    like_pairs,
    rule_named,
    rules_from,
    strata_values,
    stratified,
)
from pld_dspy.rules.ruleset import HEADER, RuleSet
from pld_dspy.student.evaluation import Scored

STUDENT = dspy.Predict("question -> answer")
IMAGE = dspy.Image("data:image/png;base64,AAAA")

some_strata = st.lists(
    st.lists(st.sampled_from(["a=1", "a=2", "b=1", "b=2", "c"]), max_size=3, unique=True), max_size=15
)


class Two(dspy.Module):
    """A student with two predictors."""

    def __init__(self):
        super().__init__()
        self.find = dspy.Predict("question -> figure")
        self.answer = dspy.Predict("question, figure -> answer")


def answered(example: dspy.Example, score: float = 0.0, followed=None, **outputs: str) -> Answered:
    """An example with what the student made of it."""
    scored = Scored(
        purpose="test",
        program="p",
        example=str(example.get("id")),
        content="c",
        score=score,
        answer=outputs.get("answer", ""),
        outputs=outputs,
    )
    return Answered(example, scored, followed or {})


def ids(some: list[Answered]) -> list[str]:
    return [each.example.id for each in some]


# Drawing


@given(some_strata, st.integers(0, 20), st.integers(0, 3))
def test_a_draw_takes_as_many_as_it_is_asked_for_or_all_each_once_and_the_same_for_a_seed(strata, n, seed):
    drawn = stratified(strata, n, random.Random(seed))
    assert len(drawn) == min(n, len(strata))
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(range(len(strata)))
    assert stratified(strata, n, random.Random(seed)) == drawn


@given(some_strata, st.integers(0, 15), st.integers(0, 3))
def test_a_smaller_draw_is_the_beginning_of_a_larger_one(strata, n, seed):
    assert stratified(strata, n, random.Random(seed)) == stratified(strata, len(strata), random.Random(seed))[:n]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=10), st.integers(0, 9))
def test_every_value_has_its_share_of_every_early_draw(sizes, seed):
    """Of k drawn, a value with share s has at most ⌈ks⌉, and at most 1/2 + 1/3 + ... + 1/m less than ks where there are
    m values; so for ten values or fewer it is never more than one below ⌊ks⌋.

    Proof as for the cup game: the mean of the j values that are furthest behind is at most 1/(j + 1) + ... + 1/m.
    """
    strata = [[f"v={value}"] for value, size in enumerate(sizes) for _ in range(size)]
    drawn = stratified(strata, len(strata), random.Random(seed))
    behind = sum(1 / number for number in range(2, len(sizes) + 1))
    found: Counter[str] = Counter()
    for k, position in enumerate(drawn, start=1):
        found.update(strata[position])
        for value, size in enumerate(sizes):
            due = k * size / len(strata)
            n = found[f"v={value}"]
            assert n <= math.ceil(due - 1e-9)
            assert n >= due - behind - 1e-9
            assert n >= math.floor(due + 1e-9) - 1


@given(st.integers(1, 4), st.integers(0, 5))
def test_two_attributes_are_both_kept_in_proportion(times, seed):
    strata = [[f"colour={c}", f"size={s}"] for c in range(3) for s in range(2) for _ in range(2 * times)]
    drawn = [strata[position] for position in stratified(strata, 6, random.Random(seed))]
    assert Counter(colour for colour, _ in drawn) == {f"colour={c}": 2 for c in range(3)}
    assert Counter(size for _, size in drawn) == {f"size={s}": 3 for s in range(2)}


def test_a_rare_value_among_many_is_drawn_in_its_turn():
    strata = [["kind=common"]] * 38 + [["kind=rare"]] * 2
    for seed in range(5):
        first = [strata[position][0] for position in stratified(strata, 20, random.Random(seed))]
        assert Counter(first) == {"kind=common": 19, "kind=rare": 1}


def test_examples_without_values_are_drawn_too():
    drawn = stratified([[], ["a"], [], ["a"], []], 5, random.Random(0))
    assert sorted(drawn) == [0, 1, 2, 3, 4]
    assert len(stratified([[]] * 6, 3, random.Random(0))) == 3
    assert stratified([], 3, random.Random(0)) == []


def test_another_seed_draws_other_examples_of_the_same_kind():
    strata = [["a"]] * 10 + [["b"]] * 10
    draws = [stratified(strata, 6, random.Random(seed)) for seed in range(4)]
    assert len({frozenset(draw) for draw in draws}) > 1
    assert all(sum(position < 10 for position in draw) == 3 for draw in draws)


def test_an_example_is_drawn_by_its_labels_its_figures_and_the_rules_that_come_from_it():
    rules = {
        "find": RuleSet.of([("one", ["q0"]), ("two", ["q1"])]),
        "answer": RuleSet.of([("three", ["q1", "q0"]), ("four", ["q0"])]),
    }
    plain, shown = (dspy.Example(id="q0", question="?", figure=figure, kind=kind).with_inputs("question", "figure")
                    for figure, kind in ((None, "map"), (IMAGE, None)))  # fmt: skip
    assert strata_values(plain, ["kind"], rules) == [
        "kind=map", "figures=False", "rule=find/R1", "rule=answer/R1", "rule=answer/R2"
    ]  # fmt: skip
    assert strata_values(shown, ["kind"], {}) == ["kind=unknown", "figures=True"]
    assert [(name, rule.text) for name, rule in rules_from(plain, rules)] == [
        ("find", "one"), ("answer", "three"), ("answer", "four")
    ]  # fmt: skip


@given(st.lists(st.sampled_from("abc"), max_size=20), st.integers(0, 25), st.integers(0, 3))
def test_what_is_put_in_front_is_in_front_and_nothing_is_lost(kinds, n, seed):
    every = [example.copy(kind=kind) for example, kind in zip(examples(len(kinds)), kinds, strict=True)]
    arranged = in_front(every, ["kind"], n, seed)
    assert sorted(example.id for example in arranged) == sorted(example.id for example in every)
    assert [example.id for example in in_front(every, ["kind"], n, seed)] == [example.id for example in arranged]
    for kind, size in Counter(kinds).items():
        due = size * min(n, len(kinds)) / len(kinds)
        assert abs(sum(example.kind == kind for example in arranged[:n]) - due) <= 1 + 1e-9


# Failures


@pytest.mark.parametrize(
    ("labels", "outputs", "parts"),
    [
        ({"answer": "yes", "figure": "2"}, {"answer": "no", "figure": "2"}, (False, True)),
        ({"answer": "yes", "figure": "2"}, {"answer": "yes", "figure": "3"}, (True, False)),
        ({"answer": "yes", "figure": "2"}, {"answer": "no", "figure": "3"}, (True, True)),
        ({"answer": "yes", "figure": "2"}, {}, (True, True)),
        ({"answer": "yes"}, {"answer": "no", "figure": "3"}, (True, True)),
        ({"answer": "yes", "figure": ""}, {"answer": "no", "figure": "3"}, (True, True)),
        ({"answer": "yes it is", "figure": 2}, {"answer": "yes  it\nis ", "figure": " 2"}, (False, False)),
        ({"gold": "yes"}, {"answer": "no", "figure": "3"}, (True, True)),
    ],
)
def test_a_predictor_whose_labelled_outputs_are_right_has_no_part_in_a_failure(labels, outputs, parts):
    example = dspy.Example(id="1", question="?", **labels).with_inputs("question")
    assert tuple(failed(of, answered(example, **outputs)) for of in answer_fields(Two()).values()) == parts


def test_all_labelled_outputs_of_a_predictor_have_to_be_right():
    fields = answer_fields(dspy.Predict("question -> figure, answer"))["self"]
    example = dspy.Example(id="1", question="?", figure="2", answer="yes").with_inputs("question")
    assert failed(fields, answered(example, figure="2", answer="no"))
    assert not failed(fields, answered(example, figure="2", answer="yes"))


@pytest.mark.parametrize(("score", "expected"), [(0.0, True), (0.49, True), (0.5, False), (1.0, False)])
def test_nobody_has_a_part_in_a_success(score, expected):
    assert failed(answer_fields(STUDENT)["self"], answered(examples(1)[0], score, answer="no")) is expected


@st.composite
def diagnosed(draw) -> tuple[list[Answered], dict[str, RuleSet]]:
    """Answers to examples of which each has given rise to one of four rules or to none."""
    sources = draw(st.lists(st.integers(0, 4), min_size=1, max_size=16))
    every = examples(len(sources))
    rules = RuleSet.of(
        (f"rule {number}", [example.id for example, source in zip(every, sources, strict=True) if source == number])
        for number in range(1, 5)
    )
    right = draw(st.lists(st.booleans(), min_size=len(every), max_size=len(every)))
    pairs = zip(every, right, strict=True)
    return [answered(example, float(ok), answer="yes" if ok else "no") for example, ok in pairs], {"self": rules}


@given(diagnosed(), st.integers(1, 6), st.integers(0, 4))
def test_every_failure_is_in_one_batch_and_like_ones_are_neighbours(world, most_failures, most_successes):
    some, rules = world
    found = list(batches(some, "self", STUDENT, rules, most_failures, most_successes))
    wrong = [each for each in some if not each.scored.passed]
    shown = [id for failures, _ in found for id in ids(failures)]
    assert sorted(shown) == sorted(ids(wrong))
    assert all(len(failures) == most_failures for failures, _ in found[:-1]), "no batch is left half full"
    assert all(1 <= len(failures) <= most_failures for failures, _ in found)
    ordered = [each.example for failures, _ in found for each in failures]
    sources = [tuple(rule.id for _, rule in rules_from(example, rules)) for example in ordered]
    groups = [len(list(group)) for _, group in itertools.groupby(sources)]
    assert len(groups) == len(set(sources)), "failures of one rule stand together"
    assert groups == sorted(groups, reverse=True), "the most frequent ones first"


@given(diagnosed(), st.integers(1, 6), st.integers(0, 4))
def test_a_batch_has_successes_of_its_own_rules_first(world, most_failures, most_successes):
    some, rules = world

    def sources(part: list[Answered]) -> list[set[str]]:
        return [{rule.id for _, rule in rules_from(each.example, rules)} for each in part]

    right = [each for each in some if each.scored.passed]
    for failures, successes in batches(some, "self", STUDENT, rules, most_failures, most_successes):
        concerned = set().union(*sources(failures))
        assert len(successes) == min(most_successes, len(right))
        assert len(set(ids(successes))) == len(successes)
        assert all(each.scored.passed for each in successes)
        near = [bool(concerned & of) for of in sources(successes)]
        assert near == sorted(near, reverse=True)
        assert sum(near) == min(most_successes, sum(bool(concerned & of) for of in sources(right)))


def test_failures_that_followed_one_rule_are_alike_wherever_it_comes_from():
    every = examples(6)
    rules = {"self": RuleSet.of([("one", ["q9"]), ("two", [])])}
    some = [answered(example, followed={"self": f"R{1 + i % 2}", "other": "R9"}) for i, example in enumerate(every[:5])]
    some.append(answered(every[5], 1.0, followed={"self": "R2"}))
    first, second = batches(some, "self", STUDENT, rules, 3, 1)
    assert [ids(part) for part in first] == [["q0", "q2", "q4"], ["q5"]]
    assert ids(second[0]) == ["q1", "q3"]


def test_batches_after_the_first_have_other_successes():
    every = examples(10)
    some = [answered(example, float(i >= 4)) for i, example in enumerate(every)]
    found = [ids(successes) for _, successes in batches(some, "self", STUDENT, {"self": RuleSet()}, 2, 3)]
    assert found == [["q4", "q5", "q6"], ["q7", "q8", "q9"]]


def test_a_predictor_gets_only_the_failures_that_it_had_a_part_in():
    example = dspy.Example(id="1", question="?", answer="yes", figure="2").with_inputs("question")
    some = [answered(example, answer="no", figure="2")]
    rules = {"find": RuleSet(), "answer": RuleSet()}
    assert list(batches(some, "find", Two(), rules, 5, 3)) == []
    assert [ids(failures) for failures, _ in batches(some, "answer", Two(), rules, 5, 3)] == [["1"]]


def test_without_failures_there_is_no_batch():
    assert list(batches([answered(examples(1)[0], 1.0)], "self", STUDENT, {"self": RuleSet()}, 5, 3)) == []


# What the teacher is shown


def test_figures_are_numbered_on_through_the_questions():
    student = dspy.Predict("question, images: list[dspy.Image] -> answer")
    other = dspy.Image("data:image/png;base64,BBBB")
    cases = [
        dspy.Example(id=str(n), question=f"q{n}", images=images, answer="yes").with_inputs("question", "images")
        for n, images in enumerate([[IMAGE, other], [], [other]])
    ]
    text, figures = describe(student, "self", [answered(case, answer="no") for case in cases], 4)
    assert figures == [IMAGE, other, other]
    first, second, third = text.split("\n\n")
    assert [first.count("[figure"), second.count("[figure"), third.count("[figure")] == [2, 0, 1]
    assert "[figure 4]" in first
    assert "[figure 5]" in first
    assert "[figure 6]" in third
    assert [part.split("\n")[0] for part in (first, second, third)] == ["Question 1", "Question 2", "Question 3"]


def test_the_students_and_the_right_answer_are_shown():
    one, two = examples(2)
    text, figures = describe(STUDENT, "self", [answered(one, answer="no"), answered(two)], 1)
    assert text.split("\n\n") == [
        "Question 1\nquestion: Is 0 a number?\nthe model's answer: no\nthe right answer: yes",
        "Question 2\nquestion: Is 1 a number?\nthe model's answer: unreadable\nthe right answer: yes",
    ]
    assert figures == []


def test_the_rule_that_was_followed_is_shown_for_its_own_predictor_only():
    case = answered(examples(1)[0], followed={"find": "R3", "answer": ""}, answer="no")
    line = "the rule that it says to have followed: R3"
    assert line in describe(Two(), "find", [case], 1)[0].split("\n")
    assert "followed" not in describe(Two(), "answer", [case], 1)[0]
    assert "followed" not in describe(Two(), "other", [case], 1)[0]


def test_no_questions_are_none():
    assert describe(STUDENT, "self", [], 1) == ("none", [])


# Which rule was followed


def test_the_student_that_is_asked_sees_ids_and_has_one_output_more():
    student = Two()
    before = [predictor.signature for predictor in student.predictors()]
    rules = {"find": RuleSet.of([("If lost, look", ["a", "b"]), ("If found, stop", ["c"])]), "answer": RuleSet()}
    asked = asking(student, rules)
    found = asked.find.signature
    assert found.instructions == f"{before[0].instructions}\n\n{HEADER}\nR1: If lost, look\nR2: If found, stop"
    assert list(found.output_fields) == ["figure", FOLLOWED], "the answer comes before what is said about it"
    assert list(found.input_fields) == ["question"]
    assert asked.answer.signature.instructions == before[1].instructions, "a predictor without rules is asked nothing"
    assert list(asked.answer.signature.output_fields) == ["answer"]
    assert [predictor.signature for predictor in student.predictors()] == before, "the student stays as it was"


def test_the_student_answers_and_says_which_rule_it_followed():
    lm = scripted(lambda prompt: {"answer": "yes", FOLLOWED: "Rule R2." if "R2: If b" in prompt.system else "none"})
    rules = RuleSet.of([("If a, say no", []), ("If b, say yes", [])])
    with dspy.context(lm=lm):
        said = asking(STUDENT, {"self": rules})(question="b?")
    assert (said.answer, rule_named(said[FOLLOWED], rules)) == ("yes", "R2")
    assert lm.engine.prompts[0].outputs == ["answer", FOLLOWED]


def test_a_predictor_that_has_no_rule_set_is_left_alone():
    asked = asking(Two(), {"answer": RuleSet.of([("If asked, say", [])])})
    assert FOLLOWED not in asked.find.signature.output_fields
    assert FOLLOWED in asked.answer.signature.output_fields


@pytest.mark.parametrize(
    ("reply", "id"),
    [
        ("R3", "R3"),
        (" R3\n", "R3"),
        ("Rule R3.", "R3"),
        ("R2: If b, then b", "R2"),
        ("I followed R1, not R2.", "R1"),
        ("none", ""),
        ("None.", ""),
        ("", ""),
        (None, ""),
        ("R33", ""),
        ("R", ""),
        ("XR3", ""),
        ("3", ""),
        ("R4", ""),
        ("R4 or R2", "R2"),
    ],
)
def test_a_reply_names_a_rule_that_there_is_or_none(reply, id):
    assert rule_named(reply, RuleSet.of([("a", []), ("b", []), ("c", [])])) == id


@pytest.mark.parametrize("reply", ["**R3**", "(R3)", "[R3]", '"R3"', "R3; it fits", "R3!"])
def test_an_id_is_found_whatever_marks_stand_around_it(reply):
    assert rule_named(reply, RuleSet.of([("a", []), ("b", []), ("c", [])])) == "R3"


def test_no_rule_is_named_where_there_is_none():
    assert rule_named("R1", RuleSet()) == ""


# Pairs of like rules

ANGLES = {"east": 0.0, "nearly east": 0.1, "north": 1.5, "north-east": 0.9}


def compass(texts: list[str]) -> np.ndarray:
    return np.array([[math.cos(ANGLES[text]), math.sin(ANGLES[text])] for text in texts])


def test_the_pairs_that_are_most_alike_come_first():
    rules = RuleSet.of((text, []) for text in ANGLES)
    assert [(one[1], other[1]) for one, other in like_pairs(rules, compass)] == [
        ("east", "nearly east"),  # 0.1 apart
        ("north", "north-east"),  # 0.6
        ("nearly east", "north-east"),  # 0.8
        ("east", "north-east"),  # 0.9
        ("nearly east", "north"),  # 1.4
        ("east", "north"),  # 1.5
    ]


@settings(max_examples=30)
@given(st.lists(st.floats(0, 3), max_size=7), st.floats(0.1, 50))
def test_every_pair_comes_once_in_the_order_of_likeness_however_long_the_vectors(angles, length):
    rules = RuleSet.of((str(number), []) for number in range(len(angles)))

    def embedder(texts: list[str]) -> np.ndarray:
        return length * np.array([[math.cos(angles[int(text)]), math.sin(angles[int(text)])] for text in texts])

    found = [(one[1], other[1]) for one, other in like_pairs(rules, embedder)]
    assert {frozenset(pair) for pair in found} == {
        frozenset(pair) for pair in itertools.combinations(map(str, range(len(angles))), 2)
    }
    assert len(found) == len(angles) * (len(angles) - 1) // 2
    apart = [math.cos(angles[int(first)] - angles[int(second)]) for first, second in found]
    assert all(one >= other - 1e-5 for one, other in itertools.pairwise(apart))


@pytest.mark.parametrize("texts", [[], ["If alone, then alone"]])
def test_fewer_than_two_rules_make_no_pair(texts):
    assert list(like_pairs(RuleSet.of((text, []) for text in texts), tfidf)) == []


def test_the_teacher_reads_what_the_metric_says_of_a_failure():
    case = answered(examples(1)[0], answer="no")
    said = case._replace(scored=case.scored.model_copy(update={"feedback": "Look at the number."}))
    assert "what the metric says of it: Look at the number." in describe(STUDENT, "self", [said], 1)[0].split("\n")
    assert "metric" not in describe(STUDENT, "self", [case], 1)[0]
