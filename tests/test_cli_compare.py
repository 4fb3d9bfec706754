"""`pld compare`."""

import json

import pytest
from loopback import served

from pld_dspy.optimizers import command

SMALL = ("--train", "16", "--val", "8", "--test", "12", "--num-threads", "2")
SOME = ("--optimizers", "uncompiled,labeled-few-shot,pld-clustered")


def results(folder):
    """The lines without what no two runs have in common."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    for line in lines:
        for of in (line, line["question"], *line["compile"].values()):
            del of["seconds"]
    return lines


def test_a_comparison_writes_results_and_a_report_and_goes_on_where_it_was(pld, tmp_path):
    arguments = ("compare", "scienceqa", *SMALL, *SOME, "--out", "c", "--json")
    done = pld(*arguments, "--seeds", "0")
    assert done.returncode == 0, done.stderr
    lines = results(tmp_path / "c")
    assert [(line["seed"], line["optimizer"]) for line in lines] == [(0, name) for name in SOME[1].split(",")]
    assert all(0 <= line["score"] <= 1 and line["n"] == 12 for line in lines)
    told = json.loads(done.stdout.splitlines()[-1])
    assert [row["optimizer"] for row in told["rows"]] == SOME[1].split(",")
    assert told["n"] == {"train": 16, "val": 8, "test": 12}
    assert "Simulated models" in done.stderr
    page = (tmp_path / "c/report.html").read_text()
    assert page.index("Simulated models") < page.index("<table>")
    assert "data:image/png;base64" in page or "data:image/jpeg;base64" in page  # thumbnails of the questions
    assert not list((tmp_path / "c").glob("units/*/cache"))

    before = (tmp_path / "c/results.jsonl").read_text()
    again = pld(*arguments, "--seeds", "0,1")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "c/results.jsonl").read_text().startswith(before)
    assert [line["seed"] for line in results(tmp_path / "c")] == [0] * 3 + [1] * 3


def test_a_compiled_program_of_a_comparison_can_be_evaluated(pld, tmp_path):
    pld("compare", "scienceqa", *SMALL, "--optimizers", "labeled-few-shot", "--out", "c")
    (line,) = results(tmp_path / "c")
    program = "c/units/labeled-few-shot-0/program.json"
    done = pld("evaluate", "scienceqa", "--test", "12", "--compiled", program, "--json")
    scores = json.loads(done.stdout.splitlines()[-1])
    assert (scores["score"], scores["prompt_tokens"]) == (line["score"], line["question"]["prompt_tokens"])


def test_ctrl_c_says_how_to_go_on(pld, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    done = pld("compare", "scienceqa", *SMALL, *SOME, "--out", "c")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "stopped; the same command with --out c goes on from here"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--optimizers", "mipro"), "There is no optimizer 'mipro'; installed are: uncompiled, bootstrap-few-shot"),
        (("--optimizers", "pld,pld"), "named twice"),
        (("--optimizers", ","), "No optimizer is named"),
        (("--seeds", "0,0"), "--seeds takes different whole numbers"),
        (("--seeds", "a"), "--seeds takes different whole numbers"),
        (("--seeds", "-1"), "--seeds takes different whole numbers"),
        (("--out", "taken"), "taken is not empty and holds no run"),
        (("--out", "file"), "file is a file"),
        (("--max-lm-calls", "0"), "--max-lm-calls"),
    ],
)
def test_wrong_arguments_get_a_sentence_and_leave_nothing(pld, tmp_path, arguments, sentence):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/precious.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    done = pld("compare", "scienceqa", *SMALL, *arguments)
    assert done.returncode == 2
    *announced, last = done.stderr.strip().splitlines()
    assert last.startswith("error: ")
    assert sentence in last
    assert len(announced) <= 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "precious.txt", "taken"]


def test_a_model_that_does_not_answer_ends_it_and_what_is_finished_stays(pld, tmp_path):
    with served(lambda body: (401, {"error": {"message": "no such key"}})) as (address, _):
        student = ("--student", "openai/small", "--student-api-base", address)
        done = pld("compare", "scienceqa", *SMALL, *SOME, *student, "--out", "c")
    assert done.returncode == 2
    assert "does not answer" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "c/results.jsonl").exists()
