"""`pld compare`, in processes of its own."""

import json
import signal
import subprocess
import time

import pytest
from loopback import openai_server, served
from test_cli import PLD, pld

SMALL = ("--train", "16", "--val", "8", "--test", "12", "--num-threads", "2")
SOME = ("--optimizers", "uncompiled,labeled-few-shot,pld-clustered")


def results(folder):
    """The lines without what no two runs have in common."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    for line in lines:
        for of in (line, line["question"], *line["compile"].values()):
            del of["seconds"]
    return lines


def test_a_comparison_writes_results_and_a_report_and_goes_on_where_it_was(tmp_path):
    command = ("compare", "scienceqa", *SMALL, *SOME, "--out", "c", "--json")
    done = pld(*command, "--seeds", "0", cwd=tmp_path)
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
    again = pld(*command, "--seeds", "0,1", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "c/results.jsonl").read_text().startswith(before)
    assert [line["seed"] for line in results(tmp_path / "c")] == [0] * 3 + [1] * 3


def test_a_compiled_program_of_a_comparison_can_be_evaluated(tmp_path):
    pld("compare", "scienceqa", *SMALL, "--optimizers", "labeled-few-shot", "--out", "c", cwd=tmp_path)
    (line,) = results(tmp_path / "c")
    program = "c/units/labeled-few-shot-0/program.json"
    done = pld("evaluate", "scienceqa", "--test", "12", "--compiled", program, "--json", cwd=tmp_path)
    scores = json.loads(done.stdout.splitlines()[-1])
    assert (scores["score"], scores["prompt_tokens"]) == (line["score"], line["question"]["prompt_tokens"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_comparison_resumed_has_the_same_results_as_another(tmp_path, how):
    command = ("compare", "scienceqa", *SMALL, "--optimizers", "uncompiled,bootstrap-few-shot,pld-clustered")
    with openai_server() as (address, asked):  # whose answers DSPy caches, unlike the simulator's
        models = [
            part
            for role in ("teacher", "student")
            for part in (f"--{role}", f"openai/{role}", f"--{role}-api-base", address)
        ]
        served_command = (*command, *models)
        uninterrupted = pld(*served_command, "--out", "other", cwd=tmp_path)
        assert uninterrupted.returncode == 0, uninterrupted.stderr
        calls = len(asked)
        process = subprocess.Popen([PLD, *served_command, "--out", "stopped"], cwd=tmp_path, stderr=subprocess.PIPE)
        while len(asked) < calls + calls // 2:
            time.sleep(0.01)
        process.send_signal(how)
        stderr = process.communicate(timeout=60)[1].decode()
        if how == signal.SIGINT:
            assert "--out stopped goes on from here" in stderr
        assert len(results(tmp_path / "stopped")) < len(results(tmp_path / "other"))
        resumed = pld(*served_command, "--out", "stopped", cwd=tmp_path)
        assert resumed.returncode == 0, resumed.stderr
        assert len(asked) - 2 * calls <= 2 * 2  # at most those in flight were asked twice
    assert results(tmp_path / "stopped") == results(tmp_path / "other")


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
def test_wrong_arguments_get_a_sentence_and_leave_nothing(tmp_path, arguments, sentence):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/precious.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    done = pld("compare", "scienceqa", *SMALL, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    *announced, last = done.stderr.strip().splitlines()
    assert last.startswith("error: ")
    assert sentence in last
    assert len(announced) <= 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "precious.txt", "taken"]


def test_a_model_that_does_not_answer_ends_it_and_what_is_finished_stays(tmp_path):
    with served(lambda body: (401, {"error": {"message": "no such key"}})) as (address, _):
        student = ("--student", "openai/small", "--student-api-base", address)
        done = pld("compare", "scienceqa", *SMALL, *SOME, *student, "--out", "c", cwd=tmp_path)
    assert done.returncode == 2
    assert "does not answer" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "c/results.jsonl").exists()


def test_the_help_lists_the_command(tmp_path):
    assert "compare" in pld("--help", cwd=tmp_path).stdout
