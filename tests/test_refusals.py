"""A compile whose models' server refuses calls."""

import json

import dspy
import pytest
from loopback import openai_server

from pld_dspy import PLDError, PLDTeleprompter
from pld_dspy.clustering import tfidf
from pld_dspy.datasets import load
from pld_dspy.experiment import load_task
from pld_dspy.experiment.compiling import compile_task

STATUSES = (400, 401, 404, 408, 429, 500, 503)
SPLITS = {"train": 20, "val": 10, "test": 10}


def compiled(refused=lambda number: None, folder=None):
    """The program that comes back, its summary, and the requests of the compile and the test."""
    task = load_task("scienceqa", "sample", SPLITS)
    with openai_server(refused=refused) as (address, requests):
        lm = dspy.LM("openai/simulated", api_base=address, api_key="none", cache=False, num_retries=0)
        teleprompter = PLDTeleprompter(teacher_lm=lm, embedder=tfidf, num_threads=1, log_dir=folder)
        program, summary = compile_task(task, teleprompter, lm)
    return program, summary, requests


def told(program) -> dict[str, str]:
    return {name: predictor.signature.instructions for name, predictor in program.named_predictors()}


@pytest.fixture(scope="module")
def whole():
    """What comes of a compile without a refusal."""
    return compiled()


def same_as(whole, place, status):
    """Whether one refused request changes nothing."""
    program, summary, requests = compiled(lambda number: status if number == place else None)
    assert told(program) == told(whole[0]), f"request {place} refused with {status}"
    assert (summary.validation, summary.score) == (whole[1].validation, whole[1].score)
    assert summary.failures == []
    return requests


@pytest.mark.parametrize(("share", "status"), [(0.0, 429), (0.08, 500), (0.3, 401), (0.99, 400)])
def test_one_refused_request_changes_nothing(whole, share, status):
    place = int(share * len(whole[2]))
    assert len(same_as(whole, place, status)) == len(whole[2]) + 1, "asked once more"


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(20))
def test_one_refused_request_changes_nothing_wherever_it_is(whole, turn):
    same_as(whole, turn * len(whole[2]) // 20, STATUSES[turn % len(STATUSES)])


@pytest.mark.parametrize("status", [400, 404, 405, 429, 503])
def test_what_a_student_never_answers_says_why_and_costs_nothing(status):
    def refuse(number):
        return status

    with pytest.raises(PLDError, match=rf"no reply to 1 questions: .*it is {status} \(HTTP {status}\); check its name"):
        compiled(refuse)


def test_a_teacher_that_is_not_there_costs_one_call_of_the_student(tmp_path):
    with openai_server() as (address, requests), openai_server(refused=lambda number: 401) as (closed, unpaid):
        student, teacher = (
            dspy.LM("openai/simulated", api_base=base, api_key="none", cache=False, num_retries=0)
            for base in (address, closed)
        )
        task = load_task("scienceqa", "sample", SPLITS)
        teleprompter = PLDTeleprompter(teacher_lm=teacher, embedder=tfidf, num_threads=1, log_dir=tmp_path / "run")
        with pytest.raises(PLDError, match=r"does not answer: .*it is 401"):
            compile_task(task, teleprompter, student)
    assert (len(requests), len(unpaid)) == (1, 2)
    assert json.loads((tmp_path / "run/run.json").read_text())["status"].startswith("failed: The model")


def test_what_stays_without_a_reply_is_left_out_and_named(whole, tmp_path):
    """A question of the test that is never answered."""
    numbers = {len(whole[2]) - 10, len(whole[2]), len(whole[2]) + 1}
    program, summary, _ = compiled(lambda number: 429 if number in numbers else None, tmp_path / "run")
    assert told(program) == told(whole[0])
    (failures,) = summary.failures
    assert (failures.role, failures.kind, failures.n) == ("student", "no reply", 1)
    assert "it is 429" in failures.reason
    (id,) = failures.ids
    assert id in {str(example.pid) for example in load("scienceqa", "test", limit=10)}
    assert json.loads((tmp_path / "run/summary.json").read_text())["failures"][0]["ids"] == [id]
    lines = [json.loads(line) for line in (tmp_path / "run/evaluations.jsonl").read_text().splitlines()]
    others = [line["score"] for line in lines if line["purpose"] == "Testing the student" and line["example"] != id]
    assert summary.score.baseline == sum(others) / 9, "of the questions that both have answered"


SERVER = ("--teacher", "openai/simulated", "--student", "openai/simulated")
SMALL = ("--train", "20", "--val", "10", "--test", "10", "--embedder", "tfidf", "--num-threads", "1")
AT_ONCE = ("--teacher-setting", "num_retries=0", "--student-setting", "num_retries=0")


def test_the_command_says_what_failed(whole, pld, tmp_path):
    numbers = {len(whole[2]) - 10, len(whole[2]), len(whole[2]) + 1}
    with openai_server(refused=lambda number: 500 if number in numbers else None) as (address, _):
        bases = ("--teacher-api-base", address, "--student-api-base", address)
        settings = [*AT_ONCE, "--teacher-setting", "cache=false", "--student-setting", "cache=false"]
        done = pld("compile", "scienceqa", *SERVER, *bases, *settings, *SMALL, "--log-dir", "run")
    assert done.returncode == 0, done.stderr
    assert "without a reply" in done.stdout
    assert "1 of the student's" in done.stdout
    page = (tmp_path / "run/report.html").read_text()
    assert "What failed" in page
    assert "it is 500" in page


def test_the_doctor_asks_each_model_once(pld):
    with openai_server() as (address, requests):
        bases = ("--teacher-api-base", address, "--student-api-base", address)
        done = pld("doctor", "scienceqa", *SERVER, *bases, "--embedder", "tfidf", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(finding["role"], finding["problem"]) for finding in found] == [
        ("student", None),
        ("teacher", None),
        ("embedder", None),
    ]
    assert found[0]["reply"]
    assert found[1]["reply"].split()[0] in ("If", "When", "Whenever", "For", "To"), "a rule"
    assert len(requests) == 2


def test_the_doctor_says_which_model_cannot_be_used(pld):
    with openai_server(refused=lambda number: 404) as (address, _):
        done = pld("doctor", "scienceqa", *SERVER[2:], "--student-api-base", address, *AT_ONCE[2:])
    assert done.returncode == 2
    assert "cannot be used" in done.stdout
    assert done.stdout.count("answers") == 2, "the teacher and the embedder"
    assert "HTTP 404" in " ".join(done.stdout.split())


def test_a_disk_that_is_full_is_no_wrong_answer(tmp_path, monkeypatch):
    def full(path, line):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pld_dspy.run.folder.append_line", full)
    with pytest.raises(PLDError, match=r"evaluations\.jsonl cannot be written: No space left on device"):
        compiled(folder=tmp_path / "run")
