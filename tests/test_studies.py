import subprocess
import sys

import numpy as np
import optuna
import pytest

from pld_dspy.clustering import search, search_clusters
from pld_dspy.clustering.quality import measure
from pld_dspy.clustering.studies import open_study, opened, run_trials
from pld_dspy.errors import PLDError

FINISHED = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
ABOUT = {"embeddings": "these", "settings": "those"}


@pytest.fixture(params=["sqlite", "journal"])
def storage(request, tmp_path):
    return f"sqlite:///{tmp_path}/study.db" if request.param == "sqlite" else str(tmp_path / "study.journal")


def groups(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.repeat(rng.standard_normal((12, 8)), 5, axis=0) + 0.2 * rng.standard_normal((60, 8))


def finished(study: optuna.Study) -> list[dict]:
    return [trial.params for trial in study.get_trials(states=FINISHED)]


def test_a_stored_study_only_adds_what_is_missing(storage):
    def after(n_trials):
        found = search_clusters(groups(), n_trials, storage=storage)
        return found, len(found.study.trials)

    assert after(6)[1] == 6
    longer, trials = after(13)
    assert trials == 13
    again, trials = after(10)
    assert trials == 13
    at_once = search_clusters(groups(), 13)
    assert finished(again.study) == finished(at_once.study)
    assert again.params == longer.params == at_once.params
    assert np.array_equal(again.labels, at_once.labels)
    assert again.quality == at_once.quality


@pytest.mark.parametrize("after", [2, 12])
def test_a_study_that_was_stopped_ends_as_it_would_have_without_the_stop(storage, after, monkeypatch):
    measured = []

    def stopping(*arguments, **named):
        measured.append(1)
        if len(measured) == after + 1:
            raise KeyboardInterrupt
        return measure(*arguments, **named)

    monkeypatch.setattr(search, "measure", stopping)
    with pytest.raises(KeyboardInterrupt):
        search_clusters(groups(), 14, storage=storage)
    assert len(measured) == after + 1
    continued = search_clusters(groups(), 14, storage=storage)
    monkeypatch.undo()
    at_once = search_clusters(groups(), 14)
    assert len(continued.study.trials) == 15
    assert finished(continued.study) == finished(at_once.study)
    assert np.array_equal(continued.labels, at_once.labels)


WORKER = """
import sys, time
from pld_dspy.clustering.studies import open_study, opened, run_trials
import optuna.storages.journal, sqlalchemy
print("ready", flush=True)
sys.stdin.readline()
study = open_study(sys.argv[1], "shared", {"embeddings": "these", "settings": "those"})
def objective(trial):
    trial.set_user_attr("by", sys.argv[2])
    time.sleep(0.1)
    return -trial.suggest_float("x", -1, 1) ** 2
run_trials(study, objective, 20, 7, [{"x": 0.5}, {"x": -0.5}])
"""


def test_processes_share_a_study(storage):
    """They open it and start on it at the same time."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, storage, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    said = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    trials = open_study(storage, "shared", ABOUT).trials
    assert 20 <= len(trials) <= 21, "what is under way when the last one ends comes on top"
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert {trial.user_attrs["by"] for trial in trials} == {"a", "b"}
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert [trial.params["x"] for trial in trials[:2]] == [0.5, -0.5]
    assert len({trial.params["x"] for trial in trials}) == len(trials), "no two try the same"


def test_another_data_set_needs_another_study(storage):
    search_clusters(groups(), 4, storage=storage, study_name="mine")
    with pytest.raises(PLDError, match="The study mine is about other embeddings: give another study_name"):
        search_clusters(groups(1), 4, storage=storage, study_name="mine")
    with pytest.raises(PLDError, match="about other settings"):
        search_clusters(groups(), 4, storage=storage, study_name="mine", seed=1)
    with pytest.raises(PLDError, match="about other embeddings, settings"):
        search_clusters(groups(1), 4, storage=storage, study_name="mine", algorithms=["kmeans"])
    assert len(search_clusters(groups(1), 4, storage=storage).study.trials) == 4, "by default it has its own name"


def test_somebody_elses_study_is_left_alone(storage):
    theirs = open_study(storage, "theirs", {})
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    with pytest.raises(PLDError, match="The study theirs is about other embeddings, settings"):
        search_clusters(groups(), 4, storage=storage, study_name="theirs")
    optuna.create_study(storage=opened(storage), study_name="two aims", directions=["maximize", "minimize"])
    with pytest.raises(PLDError, match="The study two aims is about other directions"):
        search_clusters(groups(), 4, storage=storage, study_name="two aims")
    again = open_study(storage, "theirs", {})
    assert len(again.trials) == 2
    assert again.user_attrs == {}


def test_a_transformer_of_ones_own_is_known_again(storage):
    class Own:
        def fit_transform(self, rows):
            return rows[:, :4]

    one, other = Own(), Own()
    assert repr(one) != repr(other)
    first = search_clusters(groups(), 4, reduction=one, storage=storage).study
    second = search_clusters(groups(), 6, reduction=other, storage=storage).study
    assert first.study_name == second.study_name
    assert len(second.trials) == 6


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:s3cret@127.0.0.1:1/studies",
        "postgresql://me:s3cret@127.0.0.1:port/studies",
        "postgresql://me:s3cret/studies",
        "nonsense://me:s3cret@host/studies",
        "sqlite://me:s3cret@/studies.db",
        "sqlite:////dev/null/s/study.db",
        "/dev/null/study.journal",
        "://",
    ],
)
def test_a_storage_that_cannot_be_opened_is_an_error_without_its_password(address):
    with pytest.raises(PLDError, match=r"^The storage of the Optuna study cannot be used \(\w+: .+\)\.$") as error:
        search_clusters(groups(), 4, storage=address)
    assert "s3cret" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_file_that_is_no_storage_is_an_error(tmp_path):
    (tmp_path / "study.db").write_text("notes\n" * 99)
    for storage in (f"sqlite:///{tmp_path}/study.db", str(tmp_path / "study.db")):
        with pytest.raises(PLDError, match="The storage of the Optuna study cannot be used"):
            search_clusters(groups(), 4, storage=storage)


def test_no_two_trials_draw_alike_and_seeds_differ():
    def drawn(seed):
        study = open_study(None, None, ABOUT)
        run_trials(study, lambda trial: -trial.suggest_float("x", -1, 1), 15, seed, [{"x": 0.0}])
        return [trial.params["x"] for trial in study.trials]

    one = drawn(0)
    assert one[0] == 0.0
    assert len(set(one)) == 15
    assert one == drawn(0)
    assert not set(one[1:]) & set(drawn(1))


def test_nothing_is_said_on_the_way(storage, capfd, recwarn):
    search_clusters(groups(), 12, storage=storage)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
