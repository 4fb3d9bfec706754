from fakes import FakeContext, texts_in
from scripted import examples

from pld_dspy.resolution.decisions import Decisions
from pld_dspy.resolution.gates import Positive
from pld_dspy.resolution.pruning import prune as prune_rules
from pld_dspy.rules import RuleSet


def prune(rules, says, most_rules=None):
    """Prune `rules` of a student that answers what `says(its rules, question)` says.

    Returns the rules that are left and the steps; `most_rules` is the number of rules that a prompt holds.
    """
    context = FakeContext(
        lambda program, example: says(texts_in(program), example.question) == example.answer,
        trainset=examples(4),
        valset=[each.copy(id=f"v{i}", question=f"Is v{i} it?") for i, each in enumerate(examples(6))],
        most_rules=most_rules,
    )
    left = prune_rules(context, {"self": RuleSet.of(rules)}, Decisions(context, Positive()), iteration=4)
    return left["self"], context.steps


def texts(rules):
    return [rule.text for rule in rules.rules]


def test_harmful_and_idle_rules_go_and_useful_ones_keep_their_use():
    def says(rules, question):
        if "say yes" in rules and not ("say no to v1" in rules and "v1" in question):
            return "yes"
        return "no"

    left, steps = prune([("say yes", ["a", "b", "c"]), ("say no to v1", ["d", "e"]), ("say much", ["f"])], says)
    assert texts(left) == ["say yes"]
    use = left.rules[0].use
    assert (use.helped, use.hurt, use.n) == (6, 0, 6), "as it is used in the end, without the harmful rule"
    assert [(step.purpose, step.edit.operation, step.edit.ids, step.verdict.accepted) for step in steps] == [
        ("pruning", "delete", ("R2",), True),
        ("pruning", "delete", ("R3",), True),
    ]
    assert "higher without it" in steps[0].edit.reason
    assert {step.iteration for step in steps} == {4}


def test_of_rules_that_stand_in_for_each_other_one_stays():
    def says(rules, question):
        return "yes" if {"say yes", "do say yes"} & {*rules} else "no"

    left, steps = prune([("say yes", ["a", "b"]), ("do say yes", ["c"])], says)
    assert len(left) == 1
    assert [(len(step.edit.ids), step.verdict.accepted) for step in steps] == [(2, False), (1, True), (1, False)]


def test_an_idle_rule_stays_if_its_own_examples_need_it():
    def says(rules, question):
        needed = "say yes to 2" if "Is 2 " in question else "say yes"
        return "yes" if needed in rules else "no"

    rules = [("say yes", ["a", "b"]), ("say yes to 2", ["q2"]), ("say so twice", ["q2"]), ("say nothing", ["q3"])]
    left, _ = prune(rules, says)
    assert texts(left) == ["say yes", "say yes to 2", "say so twice"], "both come from the example that needs one"


def test_a_rule_beyond_the_budget_is_measured_too():
    def says(rules, question):
        return "yes" if "say yes" in rules else "no"

    left, _ = prune([("say this", ["a", "b"]), ("say yes", ["c"])], says, most_rules=1)
    assert texts(left) == ["say yes"]
    assert left.rules[0].use.gain == 1.0


def test_no_rules_are_nothing_to_prune():
    left, steps = prune([], lambda rules, question: "no")
    assert (len(left), steps) == (0, [])
