import json
import shutil

import dspy
import pytest
from scripted import examples, scripted

from pld_dspy.errors import PLDError
from pld_dspy.experiment import Task
from pld_dspy.optimizers.comparison import compare
from pld_dspy.optimizers.registry import BASELINE, METHOD, CannotRun, Optimizer
from pld_dspy.run import RunFolder

SPLITS = {"train": examples(4), "val": examples(2), "test": examples(12)}


def task(**splits) -> Task:
    return Task("asking", "nowhere", dspy.Predict("question -> answer"), {**SPLITS, **splits})


def student():
    """Answers rightly what the instructions name."""

    def answer(prompt):
        named = any(number in prompt.fields["question"].split() for number in prompt.instructions[-1].split())
        return {"answer": "yes" if named else "no"}

    return scripted(answer)


def telling(title: str, instructions: str) -> Optimizer:
    def compile_(job):
        program = job.student.deepcopy()
        program.signature = program.signature.with_instructions(instructions)
        return program

    return Optimizer(title, f"Tells the student {instructions!r}.", compile_)


def refusing(job):
    raise CannotRun("It needs 32 examples.")


def never(job):
    raise AssertionError("is compiled again")


FIRST = {
    BASELINE: telling("Uncompiled", "0 1 2"),
    "copy": telling("Copy", "0 1 2 3 4 5 6 7 8 9 10"),
    "large": Optimizer("Large", "Many examples.", refusing),
    METHOD: telling("PLD", "0 1 2 3 4 5 6 7 8 9 10"),
}


def run(folder, optimizers=FIRST, seeds=(0, 1), of=None, **more):
    lms = {"student_lm": student(), "teacher_lm": scripted(lambda prompt: "hm")}
    return compare(of or task(), optimizers, seeds=seeds, folder=folder, num_threads=1, **{**lms, **more})


def test_every_optimizer_and_seed_is_a_line_and_every_optimizer_a_row(tmp_path):
    found = run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    keys = [(seed, name) for seed in (0, 1) for name in (BASELINE, "copy", METHOD)]
    assert [(line["seed"], line["optimizer"]) for line in lines] == keys
    assert {(line["optimizer"], line["score"], line["n"]) for line in lines} == {
        (BASELINE, 3 / 12, 12),
        (METHOD, 11 / 12, 12),
        ("copy", 11 / 12, 12),
    }
    assert [row.optimizer for row in found.rows] == list(FIRST)
    assert [row.score for row in found.rows] == pytest.approx([3 / 12, 11 / 12, None, 11 / 12])
    assert found.n == {"train": 4, "val": 2, "test": 12}
    assert (tmp_path / "units" / "copy-0" / "calls.jsonl").exists()
    assert not list(tmp_path.glob("units/copy-*/cache"))


def test_rows_are_tested_against_the_uncompiled_student_and_against_pld(tmp_path):
    baseline, copy, large, method = run(tmp_path).rows
    assert baseline.vs_baseline is None
    assert method.vs_method is None
    assert method.vs_baseline.difference == pytest.approx(8 / 12)
    assert (method.vs_baseline.better, method.vs_baseline.worse) == (8, 0)
    assert method.vs_baseline.p_value == pytest.approx(2 / 2**8)
    assert method.vs_baseline.p_holm == pytest.approx(2 * 2 / 2**8)  # two rows are tested
    assert (copy.vs_method.difference, copy.vs_method.p_value, copy.vs_method.p_holm) == (0.0, 1.0, 1.0)
    assert baseline.vs_method.difference == pytest.approx(-8 / 12)
    assert large.vs_baseline is large.vs_method is large.low is None
    assert method.low < method.score < method.high
    assert method.on_front


def test_what_cannot_run_says_why_and_the_others_go_on(tmp_path):
    row = run(tmp_path).rows[2]
    assert (row.why_not, row.results, row.score) == ("It needs 32 examples.", [], None)
    partly = run(tmp_path / "partly", {"odd": Optimizer("Odd", "", lambda job: (refusing if job.seed else never)(job))})
    assert "is compiled again" in partly.rows[0].why_not
    assert "32 examples" in partly.rows[0].why_not


def test_the_same_call_again_runs_only_what_is_missing(tmp_path):
    first = run(tmp_path)
    before = (tmp_path / "results.jsonl").read_text()
    done = {
        name: Optimizer(of.title, of.settings, refusing if name == "large" else never) for name, of in FIRST.items()
    }
    assert run(tmp_path, done) == first
    assert (tmp_path / "results.jsonl").read_text() == before
    run(tmp_path, {"new": telling("New", "1")}, seeds=(0,))
    added = (tmp_path / "results.jsonl").read_text().removeprefix(before)
    assert json.loads(added)["optimizer"] == "new"


def test_the_comparison_is_of_all_that_the_folder_holds(tmp_path):
    """Or else a p-value could be had for less by leaving optimizers out."""
    run(tmp_path)
    found = run(tmp_path, {"new": telling("New", "1")}, seeds=(0,))
    assert [(row.optimizer, len(row.results)) for row in found.rows] == [
        (BASELINE, 2),
        ("copy", 2),
        ("new", 1),
        (METHOD, 2),
    ]
    assert found.rows[1].title == "Copy"
    assert found.rows[3].vs_baseline.p_holm == pytest.approx(3 * 2 / 2**8)
    assert found.seeds == [0, 1]
    assert not found.rows[2].on_front  # its score is of another seed than the others'


def test_an_interruption_loses_nothing_that_is_finished(tmp_path):
    def interrupted(job):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {"stops": Optimizer("Stops", "", interrupted)})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {BASELINE: FIRST[BASELINE], "stops": Optimizer("Stops", "", interrupted)})
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "interrupted"
    again = {BASELINE: Optimizer("Uncompiled", FIRST[BASELINE].settings, never), METHOD: FIRST[METHOD]}
    found = run(tmp_path, again, seeds=(0,))
    assert [row.score for row in found.rows] == pytest.approx([3 / 12, 11 / 12])
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "finished"


def test_an_interrupted_comparison_has_the_same_results_as_another(tmp_path):
    def timeless(folder):
        lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
        for line in lines:
            for of in (line, line["question"], *line["compile"].values()):
                del of["seconds"]
        return lines

    stops = iter([False, True, False])

    def stopping(job):
        if next(stops, False):
            raise KeyboardInterrupt
        return FIRST["copy"].compile(job)

    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", {**FIRST, "copy": Optimizer("Copy", FIRST["copy"].settings, stopping)})
    assert len(timeless(tmp_path / "stopped")) == 4
    run(tmp_path / "stopped")
    assert timeless(tmp_path / "stopped") == timeless(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"of": task(test=examples(5))}, "n, test data"),
        ({"max_lm_calls": 7}, "max_lm_calls"),
        ({"student_lm": dspy.LM("another", engine=student().engine, cache=False)}, "student"),
    ],
)
def test_a_folder_holds_one_comparison(tmp_path, change, named):
    run(tmp_path, seeds=(0,))
    arguments = {"student_lm": student(), "teacher_lm": scripted(lambda prompt: "hm"), "num_threads": 1, **change}
    with pytest.raises(PLDError, match=f"another {named}"):
        compare(arguments.pop("of", task()), FIRST, folder=tmp_path, **arguments)


def test_empty_splits_are_refused(tmp_path):
    for splits in ({"val": []}, {"test": []}):
        with pytest.raises(PLDError, match="There is no example of"):
            run(tmp_path, of=task(**splits))
    assert not list(tmp_path.iterdir())


def test_fewer_threads_may_go_on(tmp_path):
    run(tmp_path, seeds=(0,))
    lms = {"student_lm": student(), "teacher_lm": scripted(lambda prompt: "hm")}
    found = compare(task(), FIRST, seeds=(0, 1), folder=tmp_path, num_threads=2, **lms)
    assert found.num_threads == [1, 2]


def test_other_settings_of_an_optimizer_need_another_folder(tmp_path):
    run(tmp_path, seeds=(0,))
    before = (tmp_path / "run.json").read_text()
    with pytest.raises(PLDError, match="results of copy with other settings"):
        run(tmp_path, {"copy": telling("Copy", "0")})
    assert (tmp_path / "run.json").read_text() == before


def test_a_folder_that_lacks_a_unit_says_what_to_do(tmp_path):
    run(tmp_path, seeds=(0,))
    shutil.rmtree(tmp_path / "units" / "copy-0")
    with pytest.raises(PLDError, match=r"copy-0 has 0 of 12 answers: take its line out of results\.jsonl"):
        run(tmp_path, seeds=(0,))


def test_a_folder_is_for_one_comparison_at_a_time(tmp_path):
    def inner(job):
        with pytest.raises(PLDError, match="Another comparison is running in"):
            run(tmp_path)
        return FIRST["copy"].compile(job)

    found = run(tmp_path, {"copy": Optimizer("Copy", "", inner)}, seeds=(0,))
    assert found.rows[0].score == pytest.approx(11 / 12)


def test_a_compiles_folder_is_refused(tmp_path):
    RunFolder(tmp_path / "compiled", {"teacher": "x"}).write("run.json", RunFolder(None, {"teacher": "x"}).state)
    with pytest.raises(PLDError, match="compiled holds another run: give another folder"):
        run(tmp_path / "compiled")


def test_what_an_optimizer_does_to_its_examples_and_signatures_stays_its_own(tmp_path):
    def spoiling(job):
        for example in (*job.trainset, *job.valset):
            example["answer"] = "spoilt"
        job.student.signature.instructions = "Spoilt."
        return job.student

    def looking(job):
        assert {example.answer for example in (*job.trainset, *job.valset)} == {"yes"}
        assert job.student.signature.instructions != "Spoilt."
        return FIRST["copy"].compile(job)

    of = task()
    found = run(tmp_path, {"a": Optimizer("A", "", spoiling), "b": Optimizer("B", "", looking)}, of=of, seeds=(0,))
    assert found.rows[1].why_not == ""
    assert found.rows[1].score == pytest.approx(11 / 12)
    assert of.program.signature.instructions != "Spoilt."
