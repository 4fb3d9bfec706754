import contextlib

import dspy
from scripted import examples, scripted

from pld_dspy.clustering import tfidf
from pld_dspy.resolution.gates import Gate
from pld_dspy.resolution.loop import Resolution, Resolver
from pld_dspy.resolution.pruning import Pruner
from pld_dspy.rules import RuleSet
from pld_dspy.run.runner import Runner
from pld_dspy.student.evaluation import Evaluator, exact_match
from pld_dspy.student.instructions import instruct
from pld_dspy.teacher import Teacher

STUDENT = dspy.Predict("question -> answer")


def prune(rules, says, budget=None, n=6, valset=None):
    """Prune `rules` of a student that answers what `says(lines of its rules, question)` says.

    Returns the rules that are left and the steps; `budget` is the number of rules that a prompt holds.
    """
    steps, runner = [], Runner(1)

    def script(prompt):
        texts = [line.removeprefix("- ") for line in prompt.system.splitlines() if line.strip().startswith("- ")]
        return {"answer": says([text.removeprefix("- ") for text in map(str.strip, texts)], prompt.fields["question"])}

    def build(rules, most=None):
        shown = {name: of.keep([rule.id for rule in of.rules][:most]) for name, of in rules.items()}
        return instruct(STUDENT, shown)

    evaluate = Evaluator(exact_match(STUDENT), runner)
    valset = valset or [each.copy(id=f"v{i}", question=f"Is v{i} it?") for i, each in enumerate(examples(n))]
    resolver = Resolver(
        build=lambda rules: build(rules, budget),
        in_prompt=lambda rules: rules,
        evaluate=evaluate,
        gate=Gate(evaluate, valset),
        teacher=Teacher(),
        teacher_context=contextlib.nullcontext,
        runner=runner,
        embedder=tfidf,
        trainset=examples(4),
        strata=(),
        accept=lambda rules, verdict: None,
        report=steps.append,
        how=Resolution(),
    )
    pruner = Pruner(build=build, measurable=lambda rules: rules, evaluate=evaluate, resolver=resolver)
    with dspy.context(lm=scripted(script)):
        left = pruner.prune({"self": RuleSet.of(rules)}, iteration=4)
    return left["self"], steps


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

    left, _ = prune([("say this", ["a", "b"]), ("say yes", ["c"])], says, budget=1)
    assert texts(left) == ["say yes"]
    assert left.rules[0].use.gain == 1.0


def test_no_rules_are_nothing_to_prune():
    left, steps = prune([], lambda rules, question: "no")
    assert (len(left), steps) == (0, [])
