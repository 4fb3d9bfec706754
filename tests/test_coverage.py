import dspy
import pytest
from rich.console import Console

from pld_dspy.errors import PLDError
from pld_dspy.examples import example_id
from pld_dspy.programs import SPIQA, ScienceQA
from pld_dspy.report.tables import coverage_table
from pld_dspy.rules import RuleSet
from pld_dspy.student import Coverage, coverage, strata_of
from pld_dspy.student.coverage import Share, shortened


def example(id="", **fields):
    return dspy.Example(id=id, question=f"question {id}", **fields).with_inputs("question")


def shares(groups):
    return {value: (share.covered, share.n) for value, share in groups.items()}


TRAIN = [
    example("1", subject="physics", answer="yes"),
    example("2", subject="physics", answer="no"),
    example("3", subject="biology", answer="yes"),
    example("4", subject="", answer="yes"),
    example("5", answer=None, subject=" physics\n"),
]


def test_counts_the_examples_of_any_rule_by_stratum_and_value():
    rules = {
        "find": RuleSet.of([("If asked, look.", ["1", "3"]), ("If shown, count.", ["1", "gone"])]),
        "answer": RuleSet.of([("If told, say.", ["4"])]),
    }
    found = coverage(rules, TRAIN, ("subject", "answer"))
    assert (found.n, found.covered) == (5, 3)
    assert shares(found.groups["subject"]) == {"physics": (1, 3), "biology": (1, 1), "unknown": (1, 1)}
    assert shares(found.groups["answer"]) == {"yes": (3, 3), "no": (0, 1), "unknown": (0, 1)}
    assert list(found.groups["subject"]) == ["physics", "biology", "unknown"], "the most frequent first"
    assert Coverage.model_validate_json(found.model_dump_json()) == found


def test_rules_that_do_not_fit_the_prompt_cover_nothing():
    rules = RuleSet.of([("If asked, look.", ["1", "2"]), ("If shown, count.", ["3"])])
    cut = rules.within(40, lambda text: len(text.split()))
    assert coverage({"answer": cut}, TRAIN, ()).covered == 3
    cut = rules.within(23, lambda text: len(text.split()))
    assert len(cut) == 1
    assert coverage({"answer": cut}, TRAIN, ()).covered == 2


def test_without_rules_or_examples():
    assert coverage({}, [], ("subject",)) == Coverage(n=0, covered=0, groups={"subject": {}})
    found = coverage({}, TRAIN, ())
    assert (found.n, found.covered, found.groups, found.fraction) == (5, 0, {}, 0.0)
    assert Share(n=0, covered=0).fraction == 0


def test_examples_without_an_id_are_known_by_their_content():
    train = [dspy.Example(question=text, answer="x").with_inputs("question") for text in ("one", "two")]
    rules = {"answer": RuleSet.of([("If asked, look.", [example_id(train[1])])])}
    assert coverage(rules, train, ()).covered == 1


def test_strata_are_the_programs_own_or_labels_with_few_values():
    assert strata_of(ScienceQA(), []) == ("subject", "topic", "answer")
    assert strata_of(SPIQA(), []) == ("figure_type",)
    assert strata_of(dspy.Predict("question -> answer"), TRAIN) == ("answer",)
    few = [example(str(n), answer=str(n % 12)) for n in range(40)]
    many = [example(str(n), answer=str(n % 13)) for n in range(40)]
    assert strata_of(dspy.Predict("question -> answer"), [*few, example("x", answer=None)]) == ("answer",)
    assert strata_of(dspy.Predict("question -> answer"), many) == ()
    with pytest.raises(PLDError, match="have no labels"):
        strata_of(dspy.Predict("question -> answer"), [example("1")])


def test_tables_sum_what_is_rare():
    groups = {f"value {n}": Share(n=2, covered=1) for n in range(23)}
    rows = shortened(groups)
    assert len(rows) == 21
    assert rows[-1] == ("3 others", Share(n=6, covered=3))
    assert len(shortened(dict(rows[:20]))) == 20


def test_the_table_fits_a_terminal_and_shows_text_as_it_is():
    groups = {"[red]kind": {"[bold]a[/bold]": Share(n=4, covered=1), "b" * 300: Share(n=1200, covered=1000)}}
    console = Console(width=80)
    with console.capture() as capture:
        console.print(coverage_table(Coverage(n=1204, covered=1001, groups=groups)))
    said = capture.get()
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "[red]kind" in said
    assert "[bold]a[/bold]" in said
    assert "25.0%" in said
    assert "1,204" in said
    assert "83.1%" in said
