import contextlib
import json

import dspy
from scripted import examples, scripted

from pld_dspy.evaluation import Evaluator, exact_match
from pld_dspy.instructions import instruct
from pld_dspy.resolution import Resolver, applicable, describe
from pld_dspy.rules import Edit, RuleSet
from pld_dspy.runner import Runner
from pld_dspy.teacher import Teacher

STUDENT = dspy.Predict("question -> answer")
RULES = {"self": RuleSet.of([("Numbers are things to say no to", ["q0"]), ("To be understood, be brief", ["q1"])])}


def world(edits):
    """A student that says yes if a rule has 'say yes' in it, and a teacher that proposes `edits`."""

    def script(prompt):
        if "edits" in prompt.outputs:
            proposed = edits(prompt) if callable(edits) else edits
            return {"edits": json.dumps(proposed), "reasoning": "because"}
        return {"answer": "yes" if "say yes" in prompt.system else "no"}

    return scripted(script)


def resolve(lm, rules=RULES, **settings):
    accepted, steps = [], []
    runner = Runner(1)
    resolver = Resolver(
        build=lambda rules: instruct(STUDENT, rules),
        evaluate=Evaluator(exact_match(STUDENT), runner),
        teacher=Teacher(),
        teacher_context=contextlib.nullcontext,
        runner=runner,
        trainset=examples(12),
        valset=[example.copy(id=f"v{i}", question=f"Is v{i} it?") for i, example in enumerate(examples(4))],
        **settings,
    )
    with dspy.context(lm=lm):
        best = resolver.resolve(rules, accepted.append, steps.append)
    return best, accepted, steps


def test_an_edit_that_helps_is_accepted_and_the_loop_ends_when_nothing_fails():
    lm = world([{"operation": "revise", "ids": ["R1"], "text": "To numbers say yes", "reason": "they are"}])
    best, accepted, steps = resolve(lm)
    assert best["self"]["R1"].text == "To numbers say yes"
    assert best["self"]["R1"].edits[0].edit.reason == "they are"
    assert best["self"].version == 1, "the same edit for the next failures changes nothing and is not tried"
    assert len(steps) == 1
    assert accepted[-1] == best
    assert (steps[0].before, steps[0].after, steps[0].accepted) == (0.0, 1.0, True)
    assert {step.iteration for step in steps} == {1}


def test_an_edit_that_lowers_the_validation_score_is_refused():
    def script(prompt):
        if "edits" in prompt.outputs:
            return {"edits": '[{"operation": "delete", "ids": ["R1"]}]', "reasoning": "bad advice"}
        validating = "Is v" in prompt.fields["question"]
        return {"answer": "yes" if "say yes" in prompt.system and validating else "no"}

    good = {"self": RuleSet.of([("To numbers say yes", ["q0"])])}
    best, accepted, steps = resolve(scripted(script), good)
    assert best == good
    assert accepted == []
    assert {(step.before, step.after, step.accepted) for step in steps} == {(1.0, 0.0, False)}


def test_an_edit_at_equal_score_is_taken():
    lm = world([{"operation": "revise", "ids": ["R2"], "text": "To be clear, be brief"}])
    best, _, steps = resolve(lm, max_iterations=1)
    assert best["self"]["R2"].text == "To be clear, be brief"
    assert [(step.before, step.after, step.accepted) for step in steps] == [(0.0, 0.0, True)]


def test_the_teacher_sees_failures_and_successes_of_the_training_set_only():
    seen = []

    def edits(prompt):
        seen.append(prompt.fields)
        return []

    resolve(world(edits), failures_per_call=5)
    assert len(seen) == 3, "twelve failures, five a call"
    assert sum(fields["failures"].count("\nthe right answer: yes") for fields in seen) == 12
    assert all("R1: Numbers are things" in fields["rules"] for fields in seen)
    assert not any("Is v" in value for fields in seen for value in fields.values())
    assert seen[0]["successes"] == "none"


def test_no_iterations_ask_nothing():
    lm = world([])
    best, accepted, steps = resolve(lm, max_iterations=0)
    assert (best, accepted, steps) == (RULES, [], [])
    assert not any("edits" in prompt.outputs for prompt in lm.engine.prompts)


def test_unreadable_repairs_are_passed_over():
    best, _, steps = resolve(world(lambda prompt: [{"operation": "rewrite everything"}]))
    assert best == RULES
    assert steps == []


def test_edits_that_cannot_be_made_or_change_nothing_are_left_out():
    known = RULES["self"]["R2"].text
    edits = [
        Edit(operation="delete", ids=("R1",)),
        Edit(operation="revise", ids=("R1",), text="If it is gone, then this is too late"),
        Edit(operation="revise", ids=("R7",), text="If it was never there, then leave it out"),
        Edit(operation="revise", ids=("R2",), text=known),
        Edit(operation="add", text=known),
        Edit(operation="add", text="If you do not know, take option (B)"),
        Edit(operation="revise", ids=("R2",), text="If it is still there, then this is in time"),
    ]
    assert applicable(edits, RULES["self"]) == [edits[0], edits[6]]
    merged = Edit(operation="merge", ids=("R1", "R2"), text=known)
    assert applicable([merged], RULES["self"]) == [merged]


def test_an_added_rule_comes_from_the_failures_it_was_written_for():
    lm = world(lambda prompt: [{"operation": "add", "text": "To all numbers say yes"}])
    best, _, steps = resolve(lm, diagnosed=4)
    assert set(best["self"]["R3"].examples) == set(steps[0].failures)


def test_figures_are_numbered_on_through_cases():
    image = dspy.Image("data:image/png;base64,AAAA")
    example = dspy.Example(question="q", image=image, answer="yes").with_inputs("question", "image")
    text, figures = describe(dspy.Predict("question, image -> answer"), [(example, "no"), (example, "")], 3)
    assert len(figures) == 2
    assert "[figure 3]" in text
    assert "[figure 4]" in text
    assert "the model's answer: unreadable" in text
