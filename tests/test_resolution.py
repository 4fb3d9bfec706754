import json

import pytest
from fakes import FakeContext, texts_in
from scripted import examples, scripted

from pld_dspy import PLDError
from pld_dspy.resolution import Resolution, resolve
from pld_dspy.resolution.decisions import Decisions
from pld_dspy.resolution.gates import Positive
from pld_dspy.rules import Edit, Proposal, Rule, RuleSet
from pld_dspy.rules.steps import obstacle

RULES = {"self": RuleSet.of([("Numbers are things to say no to", ["q0"]), ("To be understood, be brief", ["q1"])])}
HELPS = {"operation": "revise", "ids": ["R1"], "text": "To numbers say yes", "reason": "they are"}


def world(repairs=(), contradictions=(), compressions=()):
    """A teacher with these edits, lists or functions; asked for the rule that it followed, the student says R1."""

    def script(prompt):
        if "rule_followed" in prompt.outputs:
            return {"answer": "no", "rule_followed": "R1"}
        asked = repairs if "failures" in prompt.fields else contradictions if "pairs" in prompt.fields else compressions
        return {"edits": json.dumps(list(asked(prompt) if callable(asked) else asked)), "reasoning": "because"}

    return scripted(script)


def says_yes(program, example):
    """A student that says yes, which is right, if a rule has 'say yes' in it."""
    return any("say yes" in text for text in texts_in(program))


class Tried:
    """A resolution of conflicts, what it accepted and what it decided."""

    def __init__(self, lm, n=12, scores=says_yes, **how):
        valset = [example.copy(id=f"v{i}", question=f"Is v{i} it?") for i, example in enumerate(examples(4))]
        self.context = FakeContext(scores, lm, trainset=examples(n), valset=valset)
        self.steps, self.lm, self.how = self.context.steps, lm, Resolution(**{"prune": False, **how})

    def resolve(self, rules=RULES, max_iterations=3):
        return resolve(self.context, rules, max_iterations, self.how)

    @property
    def accepted(self):
        return [version.rules for version in self.context.versions]

    @property
    def validated(self):
        """Whether anything was scored on the validation set."""
        return any(id.startswith("v") for _, _, ids in self.context.scored for id in ids)

    def prompts(self, field):
        return [prompt.fields for prompt in self.lm.engine.prompts if field in prompt.fields]


def test_an_edit_that_helps_is_accepted_and_the_loop_ends_when_nothing_fails():
    tried = Tried(world([HELPS]))
    best = tried.resolve()
    assert best["self"]["R1"].text == "To numbers say yes"
    assert best["self"]["R1"].edits[0].edit.reason == "they are"
    assert best["self"].version == 1, "the same edit for the next failures changes nothing and is not tried"
    [step] = tried.steps
    assert tried.accepted == [best]
    assert (step.purpose, step.iteration, step.verdict.accepted, step.verdict.mended) == ("repair", 1, True, 5)
    assert (step.verdict.comparison.before, step.verdict.comparison.after) == (0.0, 1.0)
    assert len(tried.prompts("failures")) == 3, "twelve failures, five a call; none in the second round"


def test_each_edit_of_a_reply_is_judged_by_itself():
    harmful = {"operation": "revise", "ids": ["R1"], "text": "To numbers say no at once"}
    tried = Tried(world([harmful, HELPS]))
    assert tried.resolve(max_iterations=1)["self"]["R1"].text == "To numbers say yes"
    assert [(step.edit.text, step.verdict.accepted) for step in tried.steps] == [
        ("To numbers say no at once", False),
        ("To numbers say yes", True),
    ]


def test_a_rejected_edit_is_shown_to_the_teacher_and_not_tried_again():
    harmful = {"operation": "delete", "ids": ["R2"]}
    tried = Tried(world([harmful]), n=4)
    assert tried.resolve() == RULES
    assert len(tried.steps) == 1, "proposed in every round, tried in the first"
    asked = tried.prompts("failures") + tried.prompts("pairs")
    assert asked[0]["rejected"] == ""
    [compressing] = [
        fields for fields in tried.prompts("rejected") if "failures" not in fields and "pairs" not in fields
    ]
    assert compressing["rejected"] == "delete R2 (mends none of the 4 failures it was written for)"


def test_an_edit_that_mends_its_failures_and_lowers_the_validation_score_is_refused():
    def scores(program, example):
        return says_yes(program, example) == example.id.startswith("v")

    good = {"self": RuleSet.of([("To numbers say yes", ["q0"])])}
    tried = Tried(world([{"operation": "delete", "ids": ["R1"]}]), scores=scores)
    assert tried.resolve(good) == good
    assert tried.accepted == []
    assert [(step.verdict.mended, step.verdict.comparison.broken) for step in tried.steps] == [(5, 4)]


def test_an_equal_score_is_not_enough_for_a_repair_but_for_a_shorter_text():
    rules = {"self": RuleSet.of([("To numbers say yes", ["q0"]), ("To be understood, be brief", ["q1"])])}
    shorter = {"operation": "revise", "ids": ["R2"], "text": "To be clear, be brief"}
    longer = {"operation": "revise", "ids": ["R2"], "text": "To be understood by everybody, be brief"}
    tried = Tried(world(contradictions=[shorter], compressions=[longer]))
    assert tried.resolve(rules) == rules
    assert [(step.purpose, step.verdict.why.partition(":")[0]) for step in tried.steps] == [
        ("contradiction", "changes nothing"),
        ("compression", "does not make the rules shorter"),
    ]
    tried = Tried(world(compressions=[longer, shorter]))
    assert tried.resolve(rules, max_iterations=1)["self"]["R2"].text == "To be clear, be brief"
    assert [(step.purpose, step.verdict.accepted) for step in tried.steps] == [
        ("compression", False),
        ("compression", True),
    ]


def test_shortening_is_asked_for_only_when_nothing_else_changes():
    tried = Tried(world([HELPS]))
    tried.resolve(max_iterations=1)
    assert not [fields for fields in tried.prompts("rules") if "failures" not in fields]


def test_pairs_of_rules_are_looked_at_once():
    tried = Tried(world([HELPS]))
    tried.resolve()
    first, second = tried.prompts("pairs")
    assert first["pairs"].startswith("Pair 1\nR1: Numbers are things to say no to\nR2: To be understood")
    assert "To numbers say yes" in second["pairs"], "the new text makes a new pair"
    tried = Tried(world())
    tried.resolve({"self": RuleSet.of([("To numbers say yes", ["q0"])])})
    assert not tried.prompts("pairs"), "one rule contradicts nothing"


def test_without_a_gate_everything_is_taken_and_nothing_is_scored():
    harmful = {"operation": "revise", "ids": ["R1"], "text": "To numbers say no at once"}
    tried = Tried(world([harmful]), gate="off", prune=True)
    assert tried.resolve(max_iterations=1)["self"]["R1"].text == "To numbers say no at once"
    assert [step.verdict.comparison for step in tried.steps] == [None]
    assert not tried.validated


def test_the_teacher_sees_failures_and_successes_of_the_training_set_only():
    tried = Tried(world())
    tried.resolve(max_iterations=1)
    seen = tried.prompts("failures")
    assert len(seen) == 3, "twelve failures, five a call"
    assert sum(fields["failures"].count("\nthe right answer: yes") for fields in seen) == 12
    assert all("R1: Numbers are things" in fields["rules"] for fields in seen)
    assert not any("Is v" in value for fields in seen for value in fields.values())
    assert seen[0]["successes"] == "none"


def test_the_student_may_be_asked_which_rule_it_followed():
    tried = Tried(world(), n=4, ask_rule=True)
    tried.resolve(max_iterations=1)
    [fields] = tried.prompts("failures")
    assert fields["failures"].count("the rule that it says to have followed: R1") == 4
    asked = [prompt for prompt in tried.lm.engine.prompts if "rule_followed" in prompt.outputs]
    assert len(asked) == 4
    assert "R1: Numbers are things" in asked[0].system
    plain = Tried(world(), n=4)
    plain.resolve(max_iterations=1)
    assert not [prompt for prompt in plain.lm.engine.prompts if "rule_followed" in prompt.outputs]


def test_no_iterations_ask_nothing():
    tried = Tried(world([HELPS]))
    assert tried.resolve(max_iterations=0) == RULES
    assert tried.lm.engine.prompts == []


def test_what_is_of_no_use_goes_at_the_end_and_what_is_left_is_validated():
    tried = Tried(world([HELPS]), prune=True)
    best = tried.resolve()
    assert [rule.text for rule in best["self"].rules] == ["To numbers say yes"]
    assert [(step.purpose, step.iteration) for step in tried.steps] == [("repair", 1), ("pruning", 2)]
    last = tried.context.versions[-1]
    assert (last.rules, last.score) == (best, 1.0)


def test_without_a_teacher_there_is_only_pruning():
    tried = Tried(world([HELPS]), prune=True)
    tried.context.teacher = None
    assert len(tried.resolve()["self"]) == 0, "neither rule changes an answer"
    assert {step.purpose for step in tried.steps} == {"pruning"}
    assert tried.lm.engine.prompts == []


def test_a_bad_edit_of_a_reply_is_on_record_and_the_good_one_is_taken():
    good = {"operation": "add", "text": "If the bird is blue, then it sings", "reason": "x"}
    bad = [{"operation": "rewrite it \ud800"}, {"operation": "revise", "ids": ["R1"], "text": None}, "delete R1", 5]
    tried = Tried(world([*bad, good]))
    tried.resolve()
    steps = [(step.verdict.accepted, step.verdict.why) for step in tried.steps if step.purpose == "repair"]
    unknown = "there is no operation"
    assert [why.split(" '")[0] for _, why in steps[:4]] == [unknown, "revise needs a text", unknown, unknown]
    assert not any(accepted for accepted, _ in steps[:4])
    assert tried.steps[4].edit == Edit(**good)


def test_a_reply_that_is_no_list_is_passed_over():
    tried = Tried(scripted(lambda prompt: {"edits": "None, thanks.", "reasoning": "because"}))
    assert tried.resolve() == RULES
    assert tried.steps == []


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (Edit(operation="delete", ids=("R1",)), None),
        (Edit(operation="revise", ids=("R7",), text="If it was never there, then leave it out"), "there is no rule R7"),
        (Edit(operation="revise", ids=("R2",), text=RULES["self"]["R2"].text), "the rules say so already"),
        (Edit(operation="add", text=RULES["self"]["R2"].text), "the rules say so already"),
        (Edit(operation="add", text="If you do not know, take option (B)"), None),
        (
            Edit(operation="split", ids=("R2",), texts=("If twice, say it once", "If twice, say it  once")),
            "the rules say so already",
        ),
        (Edit(operation="revise", ids=("R2",), text="If it is still there, then this is in time"), None),
        (Edit(operation="merge", ids=("R1", "R2"), text=RULES["self"]["R2"].text), None),
        (Edit(operation="reorder", ids=("R1", "R2")), "the rules say so already"),
        (Edit(operation="reorder", ids=("R2", "R1")), None),
    ],
)
def test_what_stands_in_an_edits_way(edit, problem):
    found = obstacle(edit, RULES["self"])
    assert found == problem or (problem and problem in found)


def test_no_edit_may_name_an_option_by_its_letter_where_there_are_options():
    edit = Edit(operation="add", text="If you do not know, take option (B)")
    assert "names an option by its letter" in obstacle(edit, RULES["self"], options=True)


def test_an_edit_that_cannot_be_made_is_on_record_and_shown_to_the_teacher():
    copied = "If the figure shows a traffic light and the question asks whether to go, look which lamp is lit."
    tried = Tried(world([{"operation": "delete", "ids": ["R9"]}, {"operation": "add", "text": copied}]), n=4)
    assert tried.resolve() == RULES
    assert [(step.verdict.accepted, step.verdict.why) for step in tried.steps] == [
        (False, "there is no rule R9"),
        (False, "copies the demonstration of another task"),
    ]
    assert not tried.validated
    shown = tried.prompts("rejected")[-1]["rejected"]
    assert shown.splitlines()[0] == "delete R9 (there is no rule R9)"


def test_an_added_rule_comes_from_the_failures_it_was_written_for():
    tried = Tried(world([{"operation": "add", "text": "To all numbers say yes"}]), n=4)
    best = tried.resolve()
    assert set(best["self"]["R3"].examples) == set(tried.steps[0].failures) == {f"q{i}" for i in range(4)}


def test_a_step_names_the_people_whose_rule_it_changes():
    rule = Rule(id="", text="Numbers are things to say no to", examples=("q0",), authors=("Ann",))
    rules = {"self": RuleSet.numbered([rule, Rule(id="", text="To be understood, be brief")])}
    tried = Tried(world([HELPS]))
    best = tried.resolve(rules)
    assert [step.authors for step in tried.steps] == [["Ann"]]
    changed = best["self"]["R1"]
    assert (changed.authors, changed.edits[0].before) == (("Ann",), ("Numbers are things to say no to",))


def test_an_edit_is_considered_for_its_predictor_only():
    tried = Tried(world())
    rules = {**RULES, "other": RuleSet.of([("Numbers are things to say no to", ["q0"])])}
    proposal = Proposal("pruning", "other", [Edit(operation="delete", ids=("R1",))], shortens=True)
    best = Decisions(tried.context, Positive()).consider_all(rules, proposal, 1)
    assert (len(best["self"]), len(best["other"])) == (2, 0)
    assert tried.steps[0].predictor == "other"


def test_settings_out_of_range_are_refused():
    with pytest.raises(PLDError, match=r"^There is no gate 'on'; there are: positive, significant, off\.$"):
        Resolution(gate="on")
    with pytest.raises(PLDError, match=r"^There is no proposer 'x'; there are: contradictions, repairs, shortening\.$"):
        Resolution(proposers=["repairs", "x"])
    with pytest.raises(PLDError, match="diagnosed is at least 1"):
        Resolution(diagnosed=0)
