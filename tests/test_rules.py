import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pld_dspy.errors import PLDError
from pld_dspy.rules import HEADER, Edit, Rule, RuleSet

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: text.split())
ids = st.lists(st.text("abc0123456789", min_size=1, max_size=5), max_size=4, unique=True)
rule_sets = st.lists(st.tuples(texts, ids), max_size=5).map(RuleSet.of)


def edits_of(rules: RuleSet) -> st.SearchStrategy[Edit]:
    """Edits that fit a rule set."""
    choices = [st.builds(Edit, operation=st.just("add"), text=texts)]
    names = [rule.id for rule in rules.rules]
    if names:
        one = st.sampled_from(names).map(lambda id: (id,))
        choices += [
            st.builds(Edit, operation=st.just("revise"), ids=one, text=texts),
            st.builds(Edit, operation=st.just("delete"), ids=one),
        ]
    if len(names) > 1:
        two = st.lists(st.sampled_from(names), min_size=2, unique=True).map(tuple)
        choices.append(st.builds(Edit, operation=st.just("merge"), ids=two, text=texts))
    return st.one_of(choices)


@st.composite
def histories(draw) -> list[RuleSet]:
    """A rule set and the versions that random edits made of it."""
    versions = [draw(rule_sets)]
    for _ in range(draw(st.integers(0, 4))):
        versions.append(versions[-1].apply([draw(edits_of(versions[-1]))], draw(ids)))
    return versions


@given(histories())
def test_what_is_written_is_read(tmp_path_factory, history):
    path = tmp_path_factory.mktemp("rules") / "rules.json"
    for rules in history:
        rules.write(path)
        assert RuleSet.read(path) == rules


@given(histories())
def test_render_has_one_line_for_each_rule_in_order(history):
    for rules in history:
        lines = rules.render().split("\n")
        expected = [HEADER, *(f"- {rule.text}" for rule in rules.rules)] if rules.rules else [""]
        assert lines == expected
        named = rules.render(ids=True)
        assert named.split("\n") == ([f"{rule.id}: {rule.text}" for rule in rules.rules] or [""])


@given(histories())
def test_diff_accounts_for_every_rule(history):
    for old in history:
        for new in history:
            diff = old.diff(new)
            before, after = ({rule.id: rule.text for rule in side.rules} for side in (old, new))
            patched = dict(before)
            for rule in diff.removed:
                del patched[rule.id]
            patched |= {rule.id: rule.text for rule in diff.added} | {rule.id: rule.text for _, rule in diff.revised}
            assert patched == after
            assert bool(diff) == (before != after)
            assert all(f"{rule.id} {rule.text}" in str(diff) for rule in (*diff.added, *diff.removed))


@given(histories())
def test_edits_number_versions_and_never_reuse_an_id(history):
    for number, (old, new) in enumerate(itertools.pairwise(history), start=1):
        assert new.version == number
        assert all(int(rule.id[1:]) > old.last_id for rule in old.diff(new).added)
        assert all(rule.edits[-1].version == number for _, rule in old.diff(new).revised)
        assert all(rule.edits[-1].version == number for rule in old.diff(new).added)


@given(rule_sets, st.integers(0, 200))
def test_a_budget_keeps_whole_rules_in_order_and_is_kept(rules, budget):
    kept = rules.within(budget, len)
    assert len(kept.render()) <= max(budget, 0) or not kept.rules
    remaining = iter(rules.rules)
    assert all(rule in remaining for rule in kept.rules), "order or content changed"
    assert rules.within(None, len) is rules


def test_best_supported_rules_come_first_and_survive_a_budget():
    rules = RuleSet.of([("rare", ["a"]), ("common", ["b", "c"])])
    assert [rule.text for rule in rules.rules] == ["common", "rare"]
    assert [rule.text for rule in rules.within(len(HEADER) + len("\n- common"), len).rules] == ["common"]


def test_merge_joins_examples_and_keeps_both_wordings():
    rules = RuleSet.of([("one", ["a", "b"]), ("two", ["b"])])
    merged = rules.apply([Edit(operation="merge", ids=("R1", "R2"), text="both", reason="same")])
    (rule,) = merged.rules
    assert (rule.id, rule.text, rule.examples) == ("R1", "both", ("a", "b"))
    assert rule.edits[0].before == ("one", "two")
    assert rule.edits[0].edit.reason == "same"


def test_an_edit_of_a_rule_that_is_not_there_is_refused():
    with pytest.raises(PLDError, match="R9"):
        RuleSet.of([("one", [])]).apply([Edit(operation="delete", ids=("R9",))])


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "revise", "ids": [], "text": "x"},
        {"operation": "merge", "ids": ["R1", "R1"], "text": "x"},
        {"operation": "add", "ids": ["R1"], "text": "x"},
        {"operation": "revise", "ids": ["R1"], "text": " "},
        {"operation": "rewrite", "ids": ["R1"], "text": "x"},
    ],
)
def test_incomplete_edits_are_none(wrong):
    with pytest.raises(ValidationError):
        Edit(**wrong)


def test_a_rule_is_one_line_however_it_was_written():
    assert Rule(id="R1", text="if this\n- then\tthat").text == "if this - then that"


def test_a_person_may_add_a_rule_by_hand(tmp_path):
    path = tmp_path / "rules.json"
    RuleSet.of([("one", ["a"])]).write(path)
    content = json.loads(path.read_text())
    content["rules"].append({"id": "mine", "text": "two"})
    path.write_text(json.dumps(content))
    assert RuleSet.read(path)["mine"].support == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "Invalid JSON"),
        ('{"rules": [{"id": "R1"}]}', "rules.0.text"),
        ('{"rules": [{"id": "R1", "text": "a"}, {"id": "R1", "text": "b"}]}', "R1"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path, content, says):
    path = tmp_path / "rules.json"
    path.write_text(content)
    with pytest.raises(PLDError, match=r"rules\.json") as error:
        RuleSet.read(path)
    assert says in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PLDError, match=r"none\.json"):
        RuleSet.read(tmp_path / "none.json")
