"""How rules are grouped, from the command line."""

import json

import optuna
import pytest
from loopback import embeddings_server

SMALL = ("compile", "scienceqa", "--train", "20", "--val", "8", "--test", "8", "--max-iterations", "0")


def test_a_hosted_embedder_and_a_stored_study(pld, tmp_path):
    settings = ("--cluster-setting", "n_trials=6", "--cluster-setting", "storage=sqlite:///study.db")
    with embeddings_server() as (address, requests):
        embedder = ("--embedder", "openai/tiny", "--embedder-api-base", address)
        done = pld(*SMALL, *embedder, *settings, "--log-dir", "run", "--json")
    assert done.returncode == 0, done.stderr
    assert "Searching clusters" in done.stderr
    configuration = json.loads((tmp_path / "run/run.json").read_text())["configuration"]
    assert configuration["embedder"] == "openai/tiny"
    assert configuration["clustering"] == "search n_trials=6"
    micro_rules = [json.loads(line) for line in (tmp_path / "run/micro_rules.jsonl").read_text().splitlines()]
    sent = {text for request in requests for text in request["input"]}
    assert {rule["rule"] for rule in micro_rules} <= sent
    (study,) = optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/study.db")
    assert study.n_trials == 6
    chosen = [
        each["chosen"]
        for each in [json.loads(line) for line in (tmp_path / "run/candidates.jsonl").read_text().splitlines()]
    ]
    assert chosen.count(True) == 1
    coverage = json.loads((tmp_path / "run/coverage.json").read_text())
    assert coverage["n"] == 20
    assert sum(share["n"] for share in coverage["groups"]["subject"].values()) == 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--embedder", "nonsense"), "error: There is no embedder 'nonsense'"),
        (("--embedder", "tfidf", "--embedder-api-base", "http://127.0.0.1:1"), "The embedder 'tfidf' is no model on"),
        (("--embedder", "hf:nowhere"), "error: The embedding model 'nowhere' cannot be loaded"),
        (("--cluster-setting", "trials=5"), "error: The clustering has no setting trials"),
        (("--cluster-setting", "n_trials=none"), "error: The setting n_trials"),
        (("--cluster-setting", "max_clusters=1"), "error: The setting max_clusters"),
        (("--cluster-setting", "algorithms=ward"), "error: The algorithms are a list of some of average, dbscan"),
        (("--cluster-setting", "reduction=tsne"), "error: There is no reduction 'tsne'"),
        (("--cluster-setting", "seed=-1"), "error: The setting seed"),
        (("--cluster-setting", "storage=nowhere://user:secret@x/y"), "error: The storage of the Optuna study cannot"),
        (("--num-candidates", "0"), "error: Invalid value for '--num-candidates'"),
    ],
)
def test_what_there_is_not_is_one_line(pld, arguments, says):
    done = pld(*SMALL, *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(says) or says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
