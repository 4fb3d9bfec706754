import io

import pytest
from compared import REASON, compared, comparison, row, uncompiled
from rich.console import Console

from pld_dspy.optimizers.results import RoleUsage
from pld_dspy.optimizers.tables import RULES_ONLY, comparison_table, distinct, p_value, points, result_line, standing
from pld_dspy.report.tables import SIMULATED
from pld_dspy.run import Usage


def printed(found):
    console = Console(width=80, file=io.StringIO())
    console.print(comparison_table(found))
    return console.file.getvalue()


def lines(found):
    return [" ".join(line.split()) for line in printed(found).splitlines()]


def test_a_row_for_each_optimizer():
    said = lines(comparison())
    assert "Uncompiled 60.0 (54.0–66.0) – 200 0" in said
    assert "PLD 70.0 (64.0–76.0) +10.0, p = 0.031 1,234 1,100" in said
    assert "GEPA 62.0 (56.0–68.0) +2.0, p = 0.600 1,234 1,100" in said
    assert "KNNFewShot – – – –" in said
    assert f"KNNFewShot has no result: {REASON}" in said


def test_it_fits_into_80_columns():
    wide = row(
        title="BootstrapFewShotWithRandomSearch " * 4, score=1.0, low=1.0, high=1.0, vs_baseline=compared(-1, -1, -1)
    )
    wide.results[0].question.prompt_tokens = 123_456
    text = printed(comparison(uncompiled(), wide))
    assert max(map(len, text.splitlines())) <= 80
    assert "100.0 (100.0–100.0)" in text
    assert "−100.0, p = 0.031" in text
    assert "123,456" in text


def test_what_stands_below():
    capped = row(why_not="Seed 1 failed.", vs_baseline=compared())
    capped.results[0].capped = True
    text = " ".join(lines(comparison(uncompiled(), capped, models={"student": "rehearsal"})))
    assert "PLD lacks seeds: Seed 1 failed." in text
    assert "PLD: the cap of 5,000 calls was reached." in text
    assert f"{SIMULATED} {RULES_ONLY}" in text
    assert SIMULATED not in " ".join(lines(comparison()))


def test_data_are_no_markup_and_no_control_signs():
    text = printed(comparison(uncompiled(), row(title="[red]\x1b[31mPLD\ud800[/red]", vs_baseline=compared())))
    assert "[red][31mPLD?[/red]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "Nothing was compared."),
        ([comparison().rows[3]], "No optimizer could run, so that there are no scores."),
        ([uncompiled()], "The uncompiled student scores 60.0% on 200 test questions; there is nothing to compare"),
        ([row(), comparison().rows[3]], "PLD scores 70.0% on 200 test questions; there is no uncompiled student"),
        ([uncompiled(), row(score=0.6)], "No optimizer scores higher than the uncompiled student, which scores 60.0%"),
        ([uncompiled(), row(score=0.5)], "No optimizer scores higher than the uncompiled student, which scores 60.0%"),
        ([uncompiled(), row(vs_baseline=compared(p_holm=0.05))], "p = 0.050 Holm-corrected) is not distinguishable"),
        ([uncompiled(), row(vs_baseline=compared(p_holm=0.049))], "p = 0.049 Holm-corrected) is distinguishable"),
        ([uncompiled(), row(vs_baseline=compared(low=-0.01))], "is not distinguishable from zero."),
        ([uncompiled(), row("a", "A"), row("b", "B"), row("c", "C")], "A, B and C score highest, 70.0% on"),
        ([uncompiled(), *[row(name, name) for name in "abcd"]], "4 optimizers score highest, 70.0% on"),
    ],
)
def test_the_result_in_words(rows, said):
    assert said in result_line(comparison().model_copy(update={"rows": rows}))


def test_how_many_differ():
    rows = [uncompiled(), row("a"), row("b"), row("c")]
    for each, test in zip(rows[1:], [compared(), compared(-0.1, -0.2, -0.05), compared(p_holm=0.2)], strict=True):
        each.vs_baseline = test
    assert "Of 3 tested" in standing(comparison(*rows))
    assert "1 scores distinguishably higher, 1 distinguishably lower, and 1 cannot" in standing(comparison(*rows))
    assert standing(comparison(uncompiled())) == ""


def test_test_and_interval_must_agree():
    assert distinct(compared())
    assert not distinct(compared(low=0.0))
    assert not distinct(compared(p_holm=0.05))
    assert distinct(compared(-0.1, -0.2, -0.01))


def test_numbers():
    assert [points(value) for value in (0.1234, -0.1, 0, -0.0001, 0.0001)] == ["+12.3", "−10.0", "0.0", "0.0", "0.0"]
    assert [p_value(p) for p in (0, 0.0009, 0.001, 0.0504, 1)] == [
        "p < 0.001",
        "p < 0.001",
        "p = 0.001",
        "p = 0.050",
        "p = 1.000",
    ]


def test_means_over_the_seeds():
    averaged = row(seeds=(0, 1, 2))
    averaged.results[0].question.prompt_tokens = 934
    averaged.results[2].compile["teacher"] = RoleUsage(cost_usd=0.0)
    assert averaged.mean("question", "prompt_tokens") == pytest.approx(1134)
    assert averaged.mean("compile", "teacher", "calls") == 100, "of 100, 200 and none"
    assert averaged.mean("compile", "teacher", "cost_usd") == pytest.approx(1 / 3)
    assert averaged.mean("compile", "student", "tokens") == 32_000
    averaged.results[1].compile["student"].cost_usd = None
    assert averaged.mean("compile", "student", "cost_usd") is None
    assert averaged.mean("groups", "NAT", "score") == pytest.approx(0.71)
    assert averaged.mean("groups", "SOC", "score") == pytest.approx(0.61)
    assert averaged.mean("groups", "none such", "score") is None
    assert comparison(averaged).groups == {"NAT": 120, "SOC": 80}
    assert comparison().rows[3].mean("question", "prompt_tokens") is None


def test_with_seeds_missing_nothing_is_ranked():
    lacking = row("gepa", "GEPA", 1.0, vs_baseline=compared(0.0))
    found = result_line(comparison(uncompiled(results=row(seeds=(0, 1)).results), lacking))
    assert found.startswith("GEPA lacks seeds, so that scores on 200 test questions are not ranked;")


def test_what_describing_took_is_said():
    told = comparison(described=Usage(calls=40, prompt_tokens=1_000, completion_tokens=200, cost_usd=0.5))
    assert "Describing the figures took 40 more calls" in " ".join(lines(told))
    assert "Describing" not in " ".join(lines(comparison()))
