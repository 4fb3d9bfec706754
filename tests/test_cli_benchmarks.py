"""Evaluation through the command line: descriptions, judges, models in process, bad images, resumption."""

import json
import math

import pytest
from loopback import openai_server
from tiny_models import save_tiny_models

from pld_dspy.datasets.sample import write_sample

SIZES = {"train": 9, "val": 3, "test": 9}


@pytest.fixture
def evaluate(pld):
    """Runs `pld evaluate`: its JSON, and what it wrote to standard error."""

    def run(*arguments):
        done = pld("evaluate", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), " ".join(done.stderr.split())

    return run


@pytest.fixture
def folder(tmp_path):
    write_sample("scienceqa", tmp_path / "data", SIZES)
    return tmp_path


def test_the_official_table_and_every_answer_are_kept(evaluate, folder):
    found, shown = evaluate("scienceqa", "--data", "data", "--log-dir", "run")
    groups = {group["name"]: group for group in found["breakdown"]["groups"]}
    assert list(groups) == ["NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12", "Avg"]
    assert groups["Avg"]["n"] == found["n"] == 9
    assert groups["Avg"]["scores"]["accuracy"] == found["score"]
    assert all(f" {name} " in shown for name in groups)
    assert "macro-F1" in shown
    lines = (folder / "run/evaluations.jsonl").read_text().splitlines()
    assert {json.loads(line)["example"] for line in lines} == {*json.loads((folder / "run/measures.json").read_text())}
    again, _ = evaluate("scienceqa", "--data", "data", "--log-dir", "run")
    assert again["score"] == found["score"]
    assert (folder / "run/evaluations.jsonl").read_text().splitlines() == lines


def test_a_describer_is_asked_once_for_each_picture_and_the_student_reads_what_it_wrote(evaluate, folder):
    with openai_server() as (address, bodies):
        options = (
            "scienceqa", "--data", "data", "--modality", "describe", "--describer", "openai/eyes",
            "--describer-api-base", address, "--student", "openai/blind", "--student-api-base", address,
            "--log-dir", "runs/first",
        )  # fmt: skip
        found, _ = evaluate(*options)
        asked = [body for body in bodies if body["model"] == "eyes"]
        evaluate(*options[:-1], "runs/second")
        assert [body for body in bodies if body["model"] == "eyes"] == asked
    pictured = [group["n"] for group in found["breakdown"]["groups"] if group["name"] == "IMG"]
    assert len(asked) == sum(pictured) == found["usage"]["describer"]["calls"] > 0
    assert all(part["type"] in ("text", "image_url") for body in asked for part in body["messages"][-1]["content"])
    written = [json.loads(line) for line in (folder / "runs/descriptions.jsonl").read_text().splitlines()]
    assert (len(written), {line["by"] for line in written}) == (len(asked), {"openai/eyes"})
    student = [body["messages"] for body in bodies if body["model"] == "blind"]
    assert not any("image_url" in str(messages) for messages in student)
    text = written[0]["text"]  # the simulator says the same of every picture
    told = [f"[[ ## caption ## ]]\n{text}\n" in messages[-1]["content"] for messages in student]
    assert sum(told) >= len(asked)


def test_a_judge_scores_the_answers(evaluate, tmp_path):
    write_sample("spiqa", tmp_path / "data", SIZES)
    shares = {"Yes": 0.6, "No": 0.2, "a": 0.05, "b": 0.05, "c": 0.05}
    top = [{"token": token, "logprob": math.log(share)} for token, share in shares.items()]
    logprobs = {"content": [{"token": "Yes", "logprob": top[0]["logprob"], "top_logprobs": top}]}
    with openai_server(logprobs) as (address, bodies):
        found, shown = evaluate("spiqa", "--data", "data", "--judge", "openai/judge", "--judge-api-base", address)
    assert found["breakdown"]["groups"][-1]["scores"]["L3Score"] == pytest.approx(0.75)
    assert (found["judge"], found["usage"]["judge"]["calls"]) == ("openai/judge", len(bodies))
    assert "L3Score by openai/judge" in shown


def test_the_figure_is_found_first(evaluate, tmp_path):
    write_sample("spiqa", tmp_path / "data", SIZES)
    found, shown = evaluate("spiqa", "--data", "data", "--program-setting", "retrieval=true")
    assert found["usage"]["student"]["calls"] == 2 * found["n"] == 18
    assert 0 <= found["breakdown"]["groups"][-1]["scores"]["retrieval"] <= 1
    assert "retrieval" in shown


def test_bad_images_are_skipped_and_counted_if_asked(pld, evaluate, folder):
    picture = next((folder / "data/images/test").glob("*/image.png")).relative_to(folder)
    (folder / picture).write_bytes(b"")
    done = pld("evaluate", "scienceqa", "--data", "data")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: Example {picture.parent.name} needs the image {picture}, which is empty.")
    found, shown = evaluate("scienceqa", "--data", "data", "--bad-images", "skip")
    assert (found["n"], found["skipped"]) == (8, 1)
    assert "1 left out for a bad image" in shown


def test_a_model_in_this_process_sees_the_figures(evaluate, folder):
    model = save_tiny_models(folder / "models") / "sees"
    found, shown = evaluate(
        "scienceqa", "--data", "data", "--student", f"hf:{model}", "--student-setting", "max_tokens=4",
        "--student-setting", "device=cpu", "--test", "1",
    )  # fmt: skip
    assert (found["n"], found["errors"], found["score"]) == (1, 1, 0.0), "its weights are random"
    assert found["usage"]["student"]["calls"] >= 1
    assert found["usage"]["student"]["completion_tokens"] <= 4 * found["usage"]["student"]["calls"]
    assert "1 whose reply was of no use" in shown
