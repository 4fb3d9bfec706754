"""The command line, over real sockets where a model is asked."""

import json

import pytest
from loopback import openai_server

from pld_dspy.datasets.sample import write_sample

SMALL = ("--train", "40", "--val", "20", "--test", "30")


def test_compile_then_evaluate_what_it_wrote(pld, tmp_path):
    done = pld("compile", "scienceqa", *SMALL, "--seed", "1", "--log-dir", "run", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary == json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["program"], summary["data"]) == ("scienceqa", "sample")
    assert summary["n"] == {"train": 40, "val": 20, "test": 30}
    assert summary["score"]["compiled"] >= summary["score"]["baseline"] + 0.25
    assert summary["prompt_tokens"]["compiled"] > summary["prompt_tokens"]["baseline"] > 0
    assert summary["usage"]["teacher"]["calls"] >= 40
    assert summary["usage"]["student"]["calls"] >= 100
    assert set(summary["usage"]["student"]) == {"calls", "prompt_tokens", "completion_tokens", "cost_usd"}
    assert summary["rules"] > 5
    assert summary["coverage"]["n"] == 40
    assert "Training examples that the rules cover" in done.stderr
    assert "</html>" in (tmp_path / "run/report.html").read_text()
    assert "Extracting rules" in done.stderr
    assert "Simulated models" in done.stderr

    scored = ("evaluate", "scienceqa", "--test", "30", "--seed", "1", "--json")
    bare = pld(*scored)
    compiled = pld(*scored, "--compiled", "run/program.json")
    for each, key in ((bare, "baseline"), (compiled, "compiled")):
        result = json.loads(each.stdout.splitlines()[-1])
        assert result["score"] == summary["score"][key]
        assert (result["program"], result["split"], result["n"]) == ("scienceqa", "test", 30)


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_images_and_rules_reach_an_openai_compatible_server(pld, tmp_path, engine):
    with openai_server() as (address, bodies):
        done = pld(
            "compile", "spiqa", "--train", "16", "--val", "6", "--test", "8", "--log-dir", "run", "--json",
            "--teacher", f"openai/big-{engine}", "--teacher-api-base", address,
            "--student", f"openai/small-{engine}", "--student-api-base", address,
            "--teacher-setting", f"engine={engine}", "--student-setting", f"engine={engine}",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert {body["path"] for body in bodies} == {"/v1/chat/completions"}
    assert {body["authorization"] for body in bodies} == {"Bearer none"}
    for role, model in (("teacher", f"big-{engine}"), ("student", f"small-{engine}")):
        own = [body for body in bodies if body["model"] == model]
        assert summary["usage"][role]["calls"] == len(own) > 0
    student = [body for body in bodies if body["model"] == f"small-{engine}"]
    assert all(body["temperature"] == 0 for body in student)
    assert {body.get("max_tokens") or body.get("max_completion_tokens") for body in student} == {512}
    rules = [rule["text"] for rule in json.loads((tmp_path / "run/rules/000.json").read_text())["answer"]["rules"]]
    ruled = 0
    for body in student:
        system, user = body["messages"]
        images = [part for part in user["content"] if part["type"] == "image_url"]
        assert (system["role"], user["role"], len(images)) == ("system", "user", 3)
        assert all(part["image_url"]["url"].startswith("data:image/png;base64,") for part in images)
        text = system["content"] if isinstance(system["content"], str) else system["content"][0]["text"]
        ruled += all(rule in text for rule in rules)
        assert not any(rule in part.get("text", "") for rule in rules for part in user["content"])
    assert ruled >= 6, "the clustered rules were not in the system message when they were validated"
    extraction = [body for body in bodies if "## refused ##" in str(body["messages"][-1])]
    assert all(
        len([p for p in body["messages"][-1]["content"] if p["type"] == "image_url"]) == 3 for body in extraction
    )
    assert len(extraction) >= 16


def test_a_dry_run_calls_and_writes_nothing(pld, tmp_path):
    with openai_server() as (address, bodies):
        done = pld(
            "compile", "scienceqa", *SMALL, "--dry-run", "--json", "--teacher", "openai/gpt-4o",
            "--teacher-api-base", address, "--student", "openai/gpt-4o-mini", "--student-api-base", address,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout.splitlines()[-1])
    assert planned["teacher"]["calls"] >= 40
    assert planned["student"]["cost_usd"] > 0
    assert bodies == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compile", "chess"], "There is no program 'chess'"),
        (["compile", "scienceqa", "--data", "nowhere"], "There is no folder nowhere"),
        (["compile", "scienceqa", "--data", "."], "not in the ScienceQA layout"),
        (["compile", "scienceqa", "--data", "hub"], "derek-thomas/ScienceQA cannot be opened"),
        (["compile", "spiqa", "--data", "hub:nobody/nothing"], "SPIQA_train.json of nobody/nothing cannot be had"),
        (["compile", "scienceqa", "--wrong"], "No such option: --wrong"),
        (["compile", "scienceqa", "--train", "0"], "--train"),
        (
            ["compile", "scienceqa", "--modality", "smell"],
            "ScienceQA's modality is one of image, caption, describe, text",
        ),
        (["compile", "scienceqa", "--modality", "describe"], "needs something that describes"),
        (["evaluate", "spiqa", "--modality", "caption+text"], "text of"),
        (["evaluate", "spiqa", "--program-setting", "retrieval=true", "--modality", "text"], "no figure to find"),
        (["evaluate", "scienceqa", "--program-setting", "colour=red"], "does not take these settings"),
        (["evaluate", "scienceqa", "--data-setting", "colour=red"], "is none that scienceqa has"),
        (["evaluate", "scienceqa", "--bad-images", "ignore"], "--bad-images"),
        (["evaluate", "scienceqa", "--measure", "bleu"], "no measure 'bleu'; there are: rouge_l"),
        (["compile", "scienceqa", "--teacher-setting", "x"], "name=value"),
        (["compile", "scienceqa", "--max-lm-calls", "60", "--test", "30"], "testing alone takes 60"),
        (["compile", "scienceqa", "--max-cost", "1"], "no price"),
        (["compile", "scienceqa", "--log-dir", "taken"], "holds no run"),
        (["evaluate", "scienceqa", "--compiled", "none.json"], "There is no compiled program none.json"),
        (["evaluate", "scienceqa", "--compiled", "taken/thesis.tex"], "not the state of a ScienceQA"),
        (["evaluate", "spiqa", "--split", "test-Z"], "no split 'test-Z'"),
        (["brew"], "No such command 'brew'"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_everything_as_it_was(pld, tmp_path, arguments, says):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.tex").write_text("precious")
    done = pld(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "thesis.tex"]


def test_a_server_that_is_not_there_is_named_and_nothing_is_written(pld, tmp_path):
    done = pld(
        "compile", "scienceqa", *SMALL, "--student", "openai/small", "--student-api-base", "http://127.0.0.1:9/v1",
        "--student-setting", "num_retries=0", "--log-dir", "run",
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: The model openai/small does not answer")
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_loaded_in_process_is_named(pld):
    done = pld("evaluate", "scienceqa", "--test", "3", "--student", "hf:nowhere")
    assert done.returncode == 2
    assert "The model 'nowhere' cannot be loaded" in done.stderr.splitlines()[-1]


def test_a_teacher_that_returns_nothing_usable_ends_with_one_line_and_keeps_the_scores(pld, tmp_path):
    write_sample("scienceqa", tmp_path / "data", {"train": 6, "val": 3, "test": 3})
    problems = tmp_path / "data/problems.json"
    unknown = {pid: {**problem, "question": "Why?"} for pid, problem in json.loads(problems.read_text()).items()}
    problems.write_text(json.dumps(unknown))
    done = pld("compile", "scienceqa", "--data", "data", "--log-dir", "run")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: The teacher wrote no usable rule for any of 6 examples")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "evaluations.jsonl"}
    assert json.loads((tmp_path / "run/run.json").read_text())["status"].startswith("failed: The teacher wrote")
