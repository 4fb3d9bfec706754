"""Where rules come from and how they are repaired, from the command line."""

import json

import pytest
from loopback import embeddings_server

SMALL = ("compile", "scienceqa", "--train", "30", "--val", "16", "--test", "20")
RULE = "If a sentence's tense is asked for, look at its verb: will is future, -ed is past, -s or plain is present."


def summary(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_peoples_rules_without_any_teacher(pld, tmp_path):
    (tmp_path / "mine.jsonl").write_text(json.dumps({"rule": RULE, "author": "Ann"}) + "\n", encoding="utf-8")
    done = pld(*SMALL, "--teacher", "none", "--expert-rules", "mine.jsonl", "--log-dir", "run", "--json")
    found = summary(done)
    assert found["usage"]["teacher"]["calls"] == 0
    assert found["models"]["teacher"] == "no model"
    assert found["returned"] in " ".join(done.stderr.split())
    [rule] = json.loads((tmp_path / "run/rules/000.json").read_text())["answer"]["rules"]
    assert (rule["text"], rule["authors"], rule["examples"]) == (RULE, ["Ann"], ["Ann:1"])


def test_rationales_without_any_teacher_and_a_report_of_what_was_tried(pld, tmp_path):
    done = pld(*SMALL, "--teacher", "rationales", "--log-dir", "run", "--json")
    found = summary(done)
    assert found["usage"]["teacher"]["calls"] == 0
    assert found["validation"]["compiled"] >= found["validation"]["student"]
    page = (tmp_path / "run/report.html").read_text()
    assert found["returned"].partition(":")[0] in page
    assert "no model" in page


def test_rules_are_chosen_by_the_question_at_evaluation_too(pld, tmp_path):
    with embeddings_server() as (address, requests):
        embedder = ("--embedder", "openai/tiny", "--embedder-api-base", address)
        done = pld(
            *SMALL, *embedder, "--rules-per-question", "2", "--max-iterations", "0", "--no-prune", "--log-dir", "run",
            "--json",
        )  # fmt: skip
        found = summary(done)
        state = json.loads((tmp_path / "run/program.json").read_text())["answer"]
        if found["rules"]:
            assert state["routing"]["k"] == 2
            scored = ("evaluate", "scienceqa", "--test", "20", "--compiled", "run/program.json", "--json")
            refused = pld(*scored)
            assert refused.returncode == 2
            again = json.loads(pld(*scored, *embedder).stdout.splitlines()[-1])
            assert again["score"] == found["score"]["compiled"]
    assert requests


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--gate", "open"), "There is no gate 'open'; there are: positive, significant, off"),
        (("--auto", "huge"), "'huge' is not one of"),
        (("--teacher", "none"), "There is no source of rules"),
        (("--expert-rules", "missing.jsonl"), "missing.jsonl cannot be read"),
        (("--rules-per-question", "0"), "--rules-per-question"),
        (("--extraction", "dreams"), "There is no extraction 'dreams'"),
    ],
)
def test_wrong_options_end_with_one_sentence_before_a_model_is_asked(pld, arguments, says, tmp_path):
    done = pld(*SMALL, *arguments, "--log-dir", "run")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_plan_knows_the_cap_of_auto_and_that_no_model_teaches(pld):
    light = json.loads(pld(*SMALL, "--auto", "light", "--dry-run", "--json").stdout.splitlines()[-1])
    assert light["teacher"]["calls"] <= 3 * 30 + 8 * 16
    assert light["student"]["calls"] <= 3 * 30 + 8 * 16 + 2 * 20
    alone = json.loads(pld(*SMALL, "--teacher", "rationales", "--dry-run", "--json").stdout.splitlines()[-1])
    assert alone["teacher"]["calls"] == 0
