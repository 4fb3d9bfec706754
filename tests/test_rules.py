import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.errors import PLDError
from pld_dspy.rules.ruleset import HEADER, Edit, Rule, RuleSet, RuleUse

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
            st.builds(Edit, operation=st.just("delete"), ids=st.lists(st.sampled_from(names), min_size=1, unique=True)),
            st.builds(Edit, operation=st.just("split"), ids=one, texts=st.lists(texts, min_size=2, max_size=4)),
        ]
    if len(names) > 1:
        two = st.lists(st.sampled_from(names), min_size=2, unique=True).map(tuple)
        choices.append(st.builds(Edit, operation=st.just("merge"), ids=two, text=texts))
        choices.append(st.builds(Edit, operation=st.just("reorder"), ids=two))
    return st.one_of(choices)


@st.composite
def histories(draw) -> list[RuleSet]:
    """A rule set and the versions that random edits made of it."""
    versions = [draw(rule_sets)]
    for _ in range(draw(st.integers(0, 4))):
        versions.append(versions[-1].apply([draw(edits_of(versions[-1]))], draw(ids)))
    return versions


uses = st.builds(RuleUse, gain=st.floats(-1, 1), helped=st.integers(0, 9), hurt=st.integers(0, 9), n=st.integers(0, 60))


@st.composite
def attributed(draw) -> RuleSet:
    """Rules of which some have authors and a use."""
    rules = draw(rule_sets)
    some = tuple(
        rule.model_copy(
            update={"authors": tuple(draw(st.lists(texts, max_size=2))), "use": draw(st.one_of(st.none(), uses))}
        )
        for rule in rules.rules
    )
    return rules.model_copy(update={"rules": some})


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
def test_edits_number_versions_and_never_reuse_an_id(history):
    for number, (old, new) in enumerate(itertools.pairwise(history), start=1):
        assert new.version == number
        before = {rule.id: rule.text for rule in old.rules}
        added = [rule for rule in new.rules if rule.id not in before]
        revised = [rule for rule in new.rules if rule.text != before.get(rule.id, rule.text)]
        assert all(int(rule.id[1:]) > old.last_id for rule in added)
        assert all(rule.edits[-1].version == number for rule in added + revised)


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
    ],
)
def test_incomplete_edits_cannot_be_made(wrong):
    with pytest.raises(PLDError, match="An edit cannot be made: "):
        RuleSet.of([("one", []), ("two", [])]).apply([Edit(**wrong)])


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


FOUR = RuleSet(
    rules=tuple(
        Rule(id=f"R{i}", text=f"rule {i}", examples=(f"e{i}", "e"), authors=(f"person {i}",) if i < 3 else ())
        for i in range(1, 5)
    ),
    last_id=7,
)


def listed(rules: RuleSet) -> list[str]:
    return [f"{rule.id} {rule.text}" for rule in rules.rules]


def test_the_first_part_of_a_split_keeps_the_id_and_the_others_follow_it():
    edit = Edit(operation="split", ids=("R2",), texts=("rule 2a", "rule 2b", "rule 2c"), reason="two things")
    split = FOUR.apply([edit], ["q1"])
    assert listed(split) == ["R1 rule 1", "R2 rule 2a", "R8 rule 2b", "R9 rule 2c", "R3 rule 3", "R4 rule 4"]
    assert split.last_id == 9
    for id in ("R2", "R8", "R9"):
        assert split[id].examples == ("e2", "e"), "the parts come from what the rule came from"
        assert split[id].authors == ("person 2",)
        assert [(step.version, step.edit, step.before) for step in split[id].edits] == [(1, edit, ("rule 2",))]


def test_parts_of_a_rule_keep_its_past():
    revise = Edit(operation="revise", ids=("R2",), text="rule two")
    split = FOUR.apply([revise]).apply([Edit(operation="split", ids=("R2",), texts=("rule 2a", "rule 2b"))])
    for id in ("R2", "R8"):
        assert [(step.version, step.before) for step in split[id].edits] == [(1, ("rule 2",)), (2, ("rule two",))]


def test_only_the_named_rules_exchange_places():
    reordered = FOUR.apply([Edit(operation="reorder", ids=("R4", "R1", "R2"))])
    assert [rule.id for rule in reordered.rules] == ["R4", "R1", "R3", "R2"]
    assert {rule.id: rule for rule in reordered.rules} == {rule.id: rule for rule in FOUR.rules}
    assert (reordered.version, reordered.last_id) == (1, 7)


@given(st.permutations([rule.id for rule in FOUR.rules]), st.integers(2, 4))
def test_a_reorder_gives_its_rules_their_new_order_and_leaves_the_others_in_place(ids, n):
    order = [rule.id for rule in FOUR.apply([Edit(operation="reorder", ids=tuple(ids[:n]))]).rules]
    assert [id for id in order if id in ids[:n]] == ids[:n]
    assert all(order[place] == rule.id for place, rule in enumerate(FOUR.rules) if rule.id not in ids[:n])


@pytest.mark.parametrize(
    ("ids", "order"),
    [(("R2", "R4"), ["R1", "R2", "R3"]), (("R4", "R2"), ["R1", "R3", "R4"]), (("R3", "R1", "R2"), ["R3", "R4"])],
)
def test_a_merged_rule_stands_where_the_first_named_stood_and_has_its_id(ids, order):
    merged = FOUR.apply([Edit(operation="merge", ids=ids, text="all")])
    assert [rule.id for rule in merged.rules] == order
    assert merged[ids[0]].text == "all"
    assert merged[ids[0]].edits[-1].before == tuple(f"rule {id[1:]}" for id in ids)
    assert merged[ids[0]].authors == tuple(f"person {id[1:]}" for id in ids if id in ("R1", "R2"))
    assert merged[ids[0]].support == len(ids) + 1
    assert merged.last_id == 7


def test_delete_takes_out_the_named_rules_and_nothing_else():
    left = FOUR.apply([Edit(operation="delete", ids=("R4", "R2"))])
    assert left.rules == (FOUR["R1"], FOUR["R3"])
    assert left.last_id == 7
    assert FOUR.apply([Edit(operation="delete", ids=("R1", "R2", "R3", "R4"))]).rules == ()


def test_an_added_rule_comes_last_from_the_given_examples_with_the_next_id():
    edit = Edit(operation="add", text="rule 8")
    added = FOUR.apply([edit], ["q1", "q2"])
    rule = added.rules[-1]
    assert (rule.id, rule.text, rule.examples, rule.authors) == ("R8", "rule 8", ("q1", "q2"), ())
    assert [(step.version, step.edit, step.before) for step in rule.edits] == [(1, edit, ())]
    assert added.rules[:-1] == FOUR.rules


def test_edits_in_a_row_meet_what_the_ones_before_left():
    done = FOUR.apply(
        [
            Edit(operation="split", ids=("R1",), texts=("rule 1a", "rule 1b")),
            Edit(operation="revise", ids=("R8",), text="rule 1c"),
            Edit(operation="add", text="rule 9"),
            Edit(operation="merge", ids=("R9", "R2"), text="rule 9 and 2"),
            Edit(operation="reorder", ids=("R9", "R8")),
            Edit(operation="delete", ids=("R3",)),
        ]
    )
    assert listed(done) == ["R1 rule 1a", "R9 rule 9 and 2", "R4 rule 4", "R8 rule 1c"]
    assert (done.version, done.last_id) == (1, 9)
    assert {step.version for rule in done.rules for step in rule.edits} == {1}
    with pytest.raises(PLDError, match="'delete' names R3, R9"):
        done.apply([Edit(operation="delete", ids=("R9",)), Edit(operation="delete", ids=("R1", "R3", "R9"))])


@given(rule_sets, st.data())
def test_edits_at_once_come_to_the_same_as_one_after_the_other(rules, data):
    one_by_one, edits = rules, []
    for _ in range(data.draw(st.integers(0, 4))):
        edits.append(data.draw(edits_of(one_by_one)))
        one_by_one = one_by_one.apply(edits[-1:], ["q"])
    at_once = rules.apply(edits, ["q"])
    assert listed(at_once) == listed(one_by_one)
    assert [rule.examples for rule in at_once.rules] == [rule.examples for rule in one_by_one.rules]
    assert at_once.last_id == one_by_one.last_id


@given(histories())
def test_ids_are_unique_are_never_given_again_and_never_counted_back(history):
    ever = {rule.id for rule in history[0].rules}
    for old, new in itertools.pairwise(history):
        ids = [rule.id for rule in new.rules]
        assert len(set(ids)) == len(ids)
        assert new.last_id >= old.last_id
        fresh = {*ids} - {rule.id for rule in old.rules}
        assert not fresh & ever, "the id of a deleted rule came back"
        assert {int(id[1:]) for id in fresh} == set(range(old.last_id + 1, new.last_id + 1))
        ever |= fresh


def test_rules_that_a_person_numbered_by_hand_keep_their_ids_when_rules_are_added(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text('{"rules": [{"id": "R1", "text": "one"}, {"id": "R2", "text": "two"}]}')
    added = RuleSet.read(path).apply([Edit(operation="add", text="three")])
    assert [rule.text for rule in added.rules] == ["one", "two", "three"]
    assert len({rule.id for rule in added.rules}) == 3


def use(gain: float, helped: int = 1, hurt: int = 0) -> RuleUse:
    return RuleUse(gain=gain, helped=helped, hurt=hurt, n=10)


def test_a_budget_goes_to_measured_rules_by_use_for_a_token_then_to_the_others_by_support():
    rules = RuleSet(
        rules=(
            Rule(id="seldom", text="x" * 10, examples=("a",)),
            Rule(id="often", text="x" * 10, examples=("a", "b", "c")),
            Rule(id="long", text="x" * 40, use=use(0.3)),
            Rule(id="harmful", text="x" * 10, examples=("a", "b"), use=use(-0.1, 0, 1)),
            Rule(id="short", text="x" * 10, use=use(0.2)),
        )
    )
    one, long = len("\n- ") + 10, len("\n- ") + 40
    expected = [
        (0, []),
        (one, ["short"]),
        (one + long, ["long", "short"]),
        (2 * one + long, ["long", "harmful", "short"]),
        (3 * one + long, ["often", "long", "harmful", "short"]),
        (4 * one + long, ["seldom", "often", "long", "harmful", "short"]),
    ]
    for budget, ids in expected:
        assert [rule.id for rule in rules.within(len(HEADER) + budget, len).rules] == ids


@given(attributed(), st.integers(0, 260), st.sampled_from([1, 4]))
def test_a_rule_is_left_out_only_where_it_does_not_fit_beside_those_that_go_before_it(rules, room, characters):
    def tokens(text: str) -> int:
        return -(-len(text) // characters)

    def place(rule: Rule) -> tuple[bool, float]:
        worth = rule.use.gain / tokens(f"\n- {rule.text}") if rule.use else 0.0
        return rule.use is None, -worth

    budget = room // characters
    kept = rules.within(budget, tokens)
    ids = [rule.id for rule in kept.rules]
    assert tokens(kept.render()) <= budget
    assert ids == [rule.id for rule in rules.rules if rule.id in ids], "the order of the prompt"
    if tokens(rules.render()) <= budget:
        assert kept is rules
        return
    wanted = sorted(rules.rules, key=lambda rule: (*place(rule), -rule.support))
    used = tokens(HEADER)
    for rule in wanted:
        fits = used + tokens(f"\n- {rule.text}") <= budget
        assert fits == (rule.id in ids)
        used += fits * tokens(f"\n- {rule.text}")


def test_keep_leaves_the_version_and_the_order_as_they_are():
    kept = FOUR.apply([]).keep({"R4", "R2", "R99"})
    assert [rule.id for rule in kept.rules] == ["R2", "R4"]
    assert (kept.version, kept.last_id) == (1, 7)
    assert FOUR.keep([]).rules == ()


def test_measured_gives_each_rule_its_use_and_forgets_what_was_measured_before():
    first = FOUR.measured({"R1": use(0.1), "R2": use(0.2), "R99": use(0.3)})
    assert [rule.use for rule in first.rules] == [use(0.1), use(0.2), None, None]
    again = first.measured({"R2": use(0.0, 0)})
    assert [rule.use for rule in again.rules] == [None, use(0.0, 0), None, None]
    assert (again.version, again.last_id) == (FOUR.version, FOUR.last_id)
    assert again.measured({}) == FOUR


def test_a_rule_that_is_edited_is_not_measured_any_more():
    measured = FOUR.measured({rule.id: use(0.1) for rule in FOUR.rules})
    edits = [
        Edit(operation="revise", ids=("R1",), text="rule one"),
        Edit(operation="split", ids=("R2",), texts=("rule 2a", "rule 2b")),
    ]
    assert {rule.id: rule.use for rule in measured.apply(edits).rules} == {
        "R1": None, "R2": None, "R8": None, "R3": use(0.1), "R4": use(0.1)
    }  # fmt: skip


def test_the_account_of_a_rule_set_says_where_each_rule_comes_from_and_what_it_is_good_for():
    rules = RuleSet(
        rules=(
            Rule(id="R1", text="one", examples=tuple("abcdef"), authors=("Ada", "Emmy"), use=use(0.125, 3, 1)),
            Rule(id="R2", text="two", examples=("a",), use=use(-0.05, 0, 1)),
            Rule(id="R3", text="three"),
        )
    ).apply([Edit(operation="revise", ids=("R3",), text="III"), Edit(operation="revise", ids=("R3",), text="3")])
    once = rules.apply([Edit(operation="revise", ids=("R2",), text="II")])
    assert str(rules).split("\n") == [
        "R1 one",
        "   from 6 examples; by Ada, Emmy; use +12.5% (3 helped, 1 hurt of 10); edited 0 times",
        "   examples: a, b, c, d, e, …",
        "R2 two",
        "   from 1 example; use -5.0% (0 helped, 1 hurt of 10); edited 0 times",
        "   examples: a",
        "R3 3",
        "   from 0 examples; use not measured; edited 2 times",
    ]
    assert "from 1 example; use not measured; edited once" in str(once)
    assert str(RuleSet()) == "no rules"


@given(attributed())
def test_authors_and_use_are_read_as_they_were_written(tmp_path_factory, rules):
    path = tmp_path_factory.mktemp("rules") / "rules.json"
    rules.write(path)
    assert RuleSet.read(path) == rules


def test_files_from_before_there_were_authors_and_uses_are_read(tmp_path):
    path = tmp_path / "rules.json"
    revised = FOUR.apply([Edit(operation="revise", ids=("R3",), text="rule three")])
    old = json.loads(revised.model_dump_json())
    for rule in old["rules"]:
        del rule["authors"], rule["use"]
        for step in rule["edits"]:
            del step["edit"]["texts"]
    path.write_text(json.dumps(old))
    read = RuleSet.read(path)
    assert listed(read) == listed(revised)
    assert {rule.authors for rule in read.rules} == {()}
    assert {rule.use for rule in read.rules} == {None}
    assert read["R3"].edits == revised["R3"].edits
    assert read.last_id == 7
