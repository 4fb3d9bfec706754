import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pld_dspy.rules.edits import OPERATIONS, AppliedEdit, Edit

# For each operation, numbers of ids and of texts that it can have.
COMPLETE = {
    "revise": ({1}, {1}),
    "add": ({0}, {1}),
    "merge": ({2, 3}, {1}),
    "split": ({1}, {2, 3}),
    "delete": ({1, 2, 3}, {0}),
    "reorder": ({2, 3}, {0}),
}
IDS = ("R1", "R2", "R3")
TEXTS = ("If one, then two", "If three, then four", "If five, then six")

words = st.text("aäβ1", min_size=1, max_size=4)
spaces = st.text(" \t\n", min_size=1, max_size=3)


def with_texts(operation: str, ids: tuple[str, ...], texts: tuple[str, ...], **more: str) -> Edit:
    """An edit with its texts where the operation has them."""
    return Edit(operation=operation, ids=ids, texts=texts, **more) if operation == "split" else Edit(
        operation=operation, ids=ids, text=" ".join(texts), **more
    )  # fmt: skip


@st.composite
def edits(draw) -> tuple[Edit, list[list[str]]]:
    """A complete edit, and the words of each of its texts."""
    operation = draw(st.sampled_from(sorted(COMPLETE)))
    some_ids, some_texts = COMPLETE[operation]
    ids = draw(st.permutations(IDS))[: draw(st.sampled_from(sorted(some_ids)))]
    texts = [draw(st.lists(words, min_size=1, max_size=4)) for _ in range(draw(st.sampled_from(sorted(some_texts))))]
    return with_texts(operation, tuple(ids), tuple(map(" ".join, texts))), texts


def test_every_operation_is_looked_at_here():
    assert set(COMPLETE) == set(OPERATIONS)


@pytest.mark.parametrize("operation", COMPLETE)
@pytest.mark.parametrize("n", range(4))
def test_an_operation_names_as_many_rules_as_it_works_on(operation, n):
    texts = TEXTS[: max(COMPLETE[operation][1])]
    if n in COMPLETE[operation][0]:
        edit = with_texts(operation, IDS[:n], texts)
        assert (edit.ids, edit.fault) == (IDS[:n], None)
    else:
        assert with_texts(operation, IDS[:n], texts).fault == f"{operation} cannot name {n} rules"


@pytest.mark.parametrize(("operation", "n"), [("revise", 1), ("add", 0), ("merge", 2)])
@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_an_operation_that_words_a_rule_needs_a_text(operation, n, blank):
    assert Edit(operation=operation, ids=IDS[:n], text=blank).fault == f"{operation} needs a text"
    assert Edit(operation=operation, ids=IDS[:n], texts=TEXTS).fault == f"{operation} needs a text"


@pytest.mark.parametrize("texts", [(), TEXTS[:1], (TEXTS[0], ""), (TEXTS[0], " \n", "\t")])
def test_a_split_needs_two_texts_that_say_something(texts):
    assert Edit(operation="split", ids=("R1",), texts=texts, text=TEXTS[2]).fault == "split needs two texts or more"


@pytest.mark.parametrize("operation", ["merge", "delete", "reorder"])
def test_no_operation_names_a_rule_twice(operation):
    assert Edit(operation=operation, ids=("R1", "R2", "R1"), text=TEXTS[0]).fault == f"{operation} cannot name 3 rules"


def test_there_are_no_other_operations():
    edit = Edit(operation="rewrite", ids=("R1",), text=TEXTS[0])
    assert edit.fault == "there is no operation 'rewrite'; there are revise, add, merge, split, delete, reorder"
    assert edit.wordings == ()


GOOD = {"operation": "add", "text": TEXTS[0], "reason": "It is missing."}


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ({"operation": "revise", "ids": ["R1"], "text": None, "reason": "x"}, "revise needs a text"),
        ({"operation": "rewrite", "ids": ["R1"], "text": TEXTS[0]}, "there is no operation 'rewrite'"),
        ({"operation": None}, "there is no operation ''"),
        ({"ids": ["R1"]}, "there is no operation ''"),
        ({"operation": {"name": "add"}}, "there is no operation"),
        ({"operation": "split", "ids": ["R1"], "texts": [None, TEXTS[0]]}, "split needs two texts or more"),
        ({"operation": "delete", "ids": None}, "delete cannot name 0 rules"),
        ("delete R1", "there is no operation 'delete r1'"),
        (None, "there is no operation 'none'"),
        ([["add"]], "there is no operation"),
        ({"operation": "half \ud800", "ids": ["\ud800"]}, "there is no operation 'half ?'"),
        ({"operation": "x" * 9_999}, f"there is no operation '{'x' * 200}…'"),
    ],
)
def test_a_bad_edit_loses_none_of_the_others(written, fault):
    bad, good = TypeAdapter(list[Edit]).validate_python([written, GOOD])
    assert bad.fault.startswith(fault)
    assert good == Edit(**GOOD)
    assert not good.fault
    assert Edit.model_validate_json(bad.model_dump_json()) == bad


def test_bad_edits_that_differ_are_told_apart():
    """The same edit is not tried, and put on record, twice."""
    written = ["foo", 5, {}, {"operation": "rename", "text": "a"}, {"operation": "rename", "text": "b"}]
    assert len({edit.gist for edit in TypeAdapter(list[Edit]).validate_python(written)}) == len(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"operation": "Delete ", "ids": ["R1"]}, Edit(operation="delete", ids=("R1",))),
        ({"operation": "delete", "ids": "R1", "reason": None}, Edit(operation="delete", ids=("R1",))),
        ({"operation": "delete", "ids": [3]}, Edit(operation="delete", ids=("3",))),
        ({"operation": "add", "ids": [], "text": 7}, Edit(operation="add", text="7")),
        ({**GOOD, "confidence": 0.9}, Edit(**GOOD)),
    ],
)
def test_what_is_meant_is_read(written, meant):
    assert Edit.model_validate(written) == meant


@pytest.mark.parametrize(
    ("edit", "wordings", "said"),
    [
        (Edit(operation="add", text="If a, b"), ("If a, b",), "add: If a, b"),
        (Edit(operation="revise", ids=("R2",), text="If a, b", reason="c"), ("If a, b",), "revise R2: If a, b"),
        (Edit(operation="merge", ids=("R2", "R1"), text="If a, b"), ("If a, b",), "merge R2 R1: If a, b"),
        (
            Edit(operation="split", ids=("R3",), text="not this", texts=("If a, b", " ", "If c, d")),
            ("If a, b", "If c, d"),
            "split R3: If a, b | If c, d",
        ),
        (Edit(operation="delete", ids=("R1", "R2"), text="not this", texts=("nor this",)), (), "delete R1 R2"),
        (Edit(operation="reorder", ids=("R3", "R1"), text="not this"), (), "reorder R3 R1"),
    ],
)
def test_an_edit_leaves_its_own_wordings_behind_and_is_said_in_a_line(edit, wordings, said):
    assert edit.wordings == wordings
    assert str(edit) == said


@given(edits(), st.data())
def test_the_gist_is_the_same_whatever_the_reason_the_spaces_and_the_case(drawn, data):
    edit, texts = drawn
    spaced = tuple(data.draw(spaces).join(["", *words, ""]).upper() for words in texts)
    assert with_texts(edit.operation, edit.ids, spaced, reason=data.draw(words)).gist == edit.gist


@given(edits(), st.data())
def test_the_order_of_the_ids_matters_for_reorder_only(drawn, data):
    edit, _ = drawn
    ids = tuple(data.draw(st.permutations(edit.ids)))
    same = edit.operation != "reorder" or ids == edit.ids
    assert (edit.model_copy(update={"ids": ids}).gist == edit.gist) is same


def test_the_gist_differs_with_the_operation_the_rules_and_the_words():
    different = [
        Edit(operation="revise", ids=("R1",), text="If a, b"),
        Edit(operation="revise", ids=("R2",), text="If a, b"),
        Edit(operation="revise", ids=("R1",), text="If a, c"),
        Edit(operation="add", text="If a, b"),
        Edit(operation="merge", ids=("R1", "R2"), text="If a, b"),
        Edit(operation="split", ids=("R1",), texts=("If a, b", "If a, c")),
        Edit(operation="split", ids=("R1",), texts=("If a, b", "If a, c", "If a, d")),
        Edit(operation="delete", ids=("R1",)),
        Edit(operation="delete", ids=("R1", "R2")),
        Edit(operation="reorder", ids=("R1", "R2")),
        Edit(operation="reorder", ids=("R2", "R1")),
    ]
    assert len({edit.gist for edit in different}) == len(different)


def test_texts_that_an_operation_does_not_use_do_not_change_its_gist():
    assert Edit(operation="delete", ids=("R1",), text="away with it").gist == Edit(operation="delete", ids=("R1",)).gist


@given(edits(), st.integers(0, 9))
def test_an_applied_edit_is_read_as_it_was_written(drawn, version):
    applied = AppliedEdit(version=version, edit=drawn[0], before=("If it was so, then so",))
    assert AppliedEdit.model_validate_json(applied.model_dump_json()) == applied


def test_halves_of_characters_in_a_models_json_do_no_harm():
    edit = Edit.model_validate({"operation": "split", "ids": ["R1"], "texts": ["If \ud83d, b", "If c, d"]})
    assert edit.model_dump_json().encode("utf-8")
    assert edit.texts[1] == "If c, d"


def test_an_edit_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Edit(operation="delete", ids=("R1",)).ids = ("R2",)


@pytest.mark.parametrize(("given", "listed"), [("R1", ("R1",)), (["R1", "R2"], ("R1", "R2")), (None, ()), ("", ())])
def test_what_models_write_in_place_of_a_list_is_one(given, listed):
    assert Edit.model_validate({"operation": "delete", "ids": given}).ids == listed
