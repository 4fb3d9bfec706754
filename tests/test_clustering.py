import doctest
import hashlib
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, homogeneity_score

from pld_dspy.clustering import Algorithm, points, search, search_clusters, tfidf
from pld_dspy.clustering.algorithms import ALGORITHMS
from pld_dspy.errors import PLDError
from pld_dspy.rehearsal.skills import SKILLS


def groups(many: int, size: int, noise: float = 0.15, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Groups of vectors in 16 dimensions, all with a common component; and which group each is of."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(many), size))
    return rng.standard_normal((many, 16))[truth] + noise * rng.standard_normal((len(truth), 16)) + 1.5, truth


def cloud(n: int, d: int = 64, seed: int = 0) -> np.ndarray:
    """No groups, but a common component."""
    return np.random.default_rng(seed).standard_normal((n, d)) + 1.0


def wordings(n: int, seed: int) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    skills = [SKILLS[i % len(SKILLS)] for i in range(n)]
    return [skill.wording(rng, rng.random() < 0.8) for skill in skills], [skill.name for skill in skills]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_wordings_of_a_skill_find_each_other(seed):
    """Each skill has several ways of saying its rule, right and wrong: the groups are those, or the skills."""
    texts, names = wordings(150, seed)
    found = search_clusters(tfidf(texts), seed=seed)
    assert homogeneity_score(names, apart(found.labels)) > 0.95
    assert np.bincount(found.labels[found.labels >= 0]).max() < 50, "a giant cluster"
    assert max(adjusted_mutual_info_score(names, apart(other.labels)) for other in found.alternatives) > 0.9


def apart(labels: np.ndarray) -> np.ndarray:
    return np.where(labels < 0, 1000 + np.arange(len(labels)), labels)


def test_equal_seeds_find_equal_clusters():
    vectors = tfidf(wordings(60, 0)[0])
    one, two = search_clusters(vectors, n_trials=20, seed=3), search_clusters(vectors, n_trials=20, seed=3)
    assert one.params == two.params
    assert (one.labels == two.labels).all()
    assert len(one.study.trials) == 20


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["magnets attract"], [-1]),
        (["magnets attract", "birds sing"], [-1, -1]),
        (["magnets attract"] * 3, [0, 0, 0]),
        (["the", "of", "and"], [-1, -1, -1]),
    ],
)
def test_few_or_identical_texts(texts, labels):
    assert search_clusters(tfidf(texts)).labels.tolist() == labels


@pytest.mark.parametrize("many", [3, 5, 20])
@pytest.mark.parametrize("reduction", ["none", "centre", "pca", PCA(8)], ids=str)
def test_clear_groups_are_found_exactly(many, reduction, recwarn, capfd):
    vectors, truth = groups(many, 15)
    found = search_clusters(vectors, 20, reduction=reduction)
    assert adjusted_rand_score(truth, found.labels) == 1
    assert not found.weak
    assert "weak" not in str(found)
    assert str(found).startswith(f"{many} clusters, the biggest with {1 / many:.0%}; left out 0%; silhouette 0.")
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize("algorithm", ["average", "dbscan", "hdbscan", "kmeans"])
def test_each_algorithm_alone_finds_clear_groups(algorithm):
    vectors, truth = groups(8, 15)
    found = search_clusters(vectors, 25, algorithms=[algorithm])
    assert found.params["algorithm"] == algorithm
    assert adjusted_rand_score(truth, found.labels) > 0.95


THEIRS = """
from sklearn.cluster import AgglomerativeClustering
from pld_dspy.clustering import Algorithm
COMPLETE = Algorithm(
    "complete",
    lambda trial, points, most: {"n_clusters": trial.suggest_int("complete_n_clusters", 2, len(points) // 2)},
    lambda points, params, seed: AgglomerativeClustering(**params, linkage="complete").fit_predict(points.vectors),
    lambda points, most: {"complete_n_clusters": 8},
)
"""


def test_another_package_adds_an_algorithm(tmp_path, monkeypatch):
    (tmp_path / "their_linkage.py").write_text(THEIRS)
    (tmp_path / "theirs-1.0.dist-info").mkdir()
    points_to_it = "[pld_dspy.algorithms]\ncomplete = their_linkage:COMPLETE\n"
    (tmp_path / "theirs-1.0.dist-info" / "entry_points.txt").write_text(points_to_it)
    monkeypatch.syspath_prepend(tmp_path)
    vectors, truth = groups(8, 15)
    by_name = search_clusters(vectors, 10, algorithms=["complete", "dbscan"])
    assert by_name.study.trials[0].params == {"algorithm": "complete", "complete_n_clusters": 8}
    assert {trial.params["algorithm"] for trial in by_name.study.trials} == {"complete", "dbscan"}
    assert adjusted_rand_score(truth, by_name.labels) > 0.95
    theirs = __import__("their_linkage").COMPLETE
    by_object = search_clusters(vectors, 10, algorithms=[theirs, "dbscan"])
    assert np.array_equal(by_object.labels, by_name.labels)
    assert by_object.params == by_name.params


def test_an_algorithm_that_is_called_kmeans_divides_no_continuum():
    own = Algorithm(
        "kmeans",
        lambda trial, points, most: {},
        lambda points, params, seed: np.arange(len(points)) % 2,
        lambda points, most: {},
    )
    assert search_clusters(cloud(400), 3, algorithms=[own]).params == {"algorithm": "kmeans"}


def test_the_example_is_right():
    assert doctest.testmod(search) == doctest.TestResults(failed=0, attempted=2)


def test_groups_that_are_all_but_equal_are_found():
    """Their distances are rounding, which is no structure: silhouettes stay what they can be."""
    vectors, truth = groups(10, 40, noise=1e-6)
    found = search_clusters(vectors, 20)
    assert adjusted_rand_score(truth, found.labels) == 1
    assert max(trial.user_attrs["silhouette"] for trial in found.study.trials) <= 1


def test_a_continuum_is_divided_evenly_and_called_weak(caplog):
    found = search_clusters(cloud(1_500), 20)
    sizes = np.bincount(found.labels[found.labels >= 0])
    assert found.weak
    assert str(found).endswith("; weak structure: there are no clear groups")
    assert caplog.messages == [str(found)]
    assert 15 <= len(sizes) <= 60
    assert sizes.max() < 0.2 * 1_500
    assert sizes.sum() == 1_500
    assert sizes.min() > 1
    (searched,) = found.alternatives
    assert searched.params == {**searched.params, "algorithm": found.study.best_params["algorithm"]}


def test_few_embeddings_without_groups_are_left_alone():
    found = search_clusters(cloud(150), 20)
    assert found.weak
    assert (found.labels == -1).all()
    assert found.params == {}
    assert found.alternatives[0].quality.clusters > 0


def test_a_continuum_of_few_distinct_embeddings_is_divided_into_what_there_is():
    found = search_clusters(np.repeat(cloud(20, 16), 100, axis=0), 8, max_clusters=15)
    assert found.weak
    assert found.params == {"algorithm": "kmeans", "n_clusters": 10}
    assert found.quality.noise == 0
    assert len(np.unique(search_clusters(cloud(8, 16, 2), 20, max_clusters=2).labels)) > 1, "not one heap"


def test_repeated_embeddings_without_groups_that_all_fit_only_group_with_their_equals():
    found = search_clusters(np.repeat(cloud(20, 16), 100, axis=0), 8)
    assert found.weak
    assert found.params == {}
    assert np.bincount(found.labels).tolist() == [100] * 20


def test_a_frequent_embedding_does_not_make_all_others_alike():
    rows = np.concatenate([np.repeat(cloud(1, 64), 50, axis=0), cloud(100, 64, 1)])
    found = search_clusters(rows, 30)
    assert found.weak
    assert np.bincount(found.labels[found.labels >= 0]).tolist() == [50]


def test_a_trial_that_another_process_has_under_way_is_no_alternative(tmp_path):
    rows, storage = groups(6, 8)[0], f"sqlite:///{tmp_path}/study.db"
    trial = search_clusters(rows, 10, storage=storage).study.ask()
    trial.set_user_attr("clusters", 3)
    assert len(search_clusters(rows, 12, storage=storage).study.trials) == 13


def test_alternatives_are_different_clusterings():
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.standard_normal((9, 32)), 6, axis=0) + 0.3 * rng.standard_normal((54, 32))
    for seed in range(4):
        found = search_clusters(rows, 30, seed)
        kinds = {tuple(each.labels) for each in (found, *found.alternatives)}
        assert len(kinds) == 1 + len(found.alternatives)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_alternatives_are_coarser(seed):
    vectors, _ = groups(30, 8, noise=0.3, seed=seed)
    found = search_clusters(np.concatenate([vectors, cloud(100, 16)]), 30, seed=seed)
    clusters = [len(np.unique(each.labels[each.labels >= 0])) for each in (found, *found.alternatives)]
    assert clusters == [each.quality.clusters for each in (found, *found.alternatives)]
    assert 2 <= clusters[2] <= clusters[0] / 4
    assert 2 <= clusters[1] <= clusters[0] / 2


@settings(max_examples=15)
@given(st.integers(4, 30), st.integers(1, 6), st.integers(0, 100), st.integers(2, 6))
def test_any_few_embeddings_can_be_searched(n, d, seed, max_clusters):
    vectors = np.random.default_rng(seed).integers(-2, 3, size=(n, d))
    found = search_clusters(vectors, 6, seed, max_clusters=max_clusters)
    zero = ~vectors.any(axis=1)
    assert (found.labels[zero] == -1).all()
    sizes = np.bincount(found.labels[found.labels >= 0])
    assert (np.diff(sizes) <= 0).all()
    assert (sizes > 1).all()
    directions = {tuple(row) for row in vectors[~zero]}
    for row in directions:
        assert len(set(found.labels[(vectors == row).all(axis=1)])) == 1, "equal embeddings are together"
    assert found.quality.noise == pytest.approx(1 - sizes[:max_clusters].sum() / n)
    assert found.quality.concentration == pytest.approx(((sizes[:max_clusters] / n) ** 2).sum())


def test_zero_vectors_are_noise_and_change_nothing_else():
    vectors, _ = groups(5, 8)
    among = search_clusters(np.insert(vectors, [0, 7, 40], 0, axis=0), 10)
    assert among.labels[[0, 8, 42]].tolist() == [-1, -1, -1]
    assert np.array_equal(np.delete(among.labels, [0, 8, 42]), search_clusters(vectors, 10).labels)
    assert among.quality.noise == pytest.approx(3 / 43)
    assert among.quality.biggest == pytest.approx(8 / 43)
    assert among.quality.concentration == pytest.approx(5 * (8 / 43) ** 2)


@pytest.mark.parametrize("change", [1e30, 1e-30, 1e300, 1e-300, -1])
def test_the_length_of_embeddings_says_nothing(change):
    vectors, truth = groups(5, 8)
    assert adjusted_rand_score(truth, search_clusters(vectors * change, 8).labels) == 1


@pytest.mark.parametrize("kind", [list, np.float16, np.int16, object])
def test_numbers_of_any_kind_are_embeddings(kind):
    vectors, truth = groups(5, 8)
    vectors = (100 * vectors).astype(int)
    given_in = vectors.tolist() if kind is list else vectors.astype(kind)
    assert adjusted_rand_score(truth, search_clusters(given_in, 8).labels) == 1


def test_more_embeddings_than_points_are_clustered_in_groups(monkeypatch):
    monkeypatch.setattr(points, "MOST_POINTS", 120)
    vectors, truth = groups(6, 100, noise=0.05)
    found = search_clusters(vectors, 12)
    assert found.labels.shape == (600,)
    assert adjusted_rand_score(truth, found.labels) == 1
    assert found.quality.biggest == pytest.approx(1 / 6)


def test_settings_that_do_badly_on_some_points_are_not_measured_on_all(monkeypatch):
    monkeypatch.setattr(search, "SAMPLE", 40)
    found = search_clusters(groups(20, 8, noise=0.4)[0], 40)
    states = [trial.state.name for trial in found.study.trials]
    assert states.count("PRUNED") > 3
    assert states.count("PRUNED") + states.count("COMPLETE") == 40
    assert set(states[:10]) == {"COMPLETE"}
    assert found.params["algorithm"] == found.study.best_params["algorithm"]


THREADS = """
import hashlib
import numpy as np
from pld_dspy.clustering import points, search_clusters
rng = np.random.default_rng(0)
near = np.repeat(rng.standard_normal((60, 8)), 70, axis=0) + 0.2 * rng.standard_normal((4_200, 8))
vectors = np.concatenate([near, rng.standard_normal((1_000, 8))])
assert len(vectors) > points.MOST_POINTS
print(hashlib.sha256(search_clusters(vectors, 4).labels.tobytes()).hexdigest())
"""


def test_many_embeddings_cluster_alike_on_one_thread_and_two():
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", THREADS],
            env={**os.environ, **dict.fromkeys(names, threads)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for threads in "12"
    ]
    one, two = (run.communicate()[0] for run in runs)
    assert len(one) == len(hashlib.sha256().hexdigest()) + 1
    assert one == two


ROWS = groups(5, 8)[0]


@pytest.mark.parametrize(
    ("embeddings", "arguments", "says"),
    [
        ([[1.0, 2.0], [1.0]], {}, "no array of numbers: setting an array element"),
        ([["a", "b"]], {}, "no array of numbers: could not convert string"),
        ([[10**400, 1]], {}, "no array of numbers: int too large"),
        ([1.0, 2.0], {}, r"must be an array of n rows; this one has the shape \(2,\)"),
        ([], {}, r"shape \(0,\)"),
        (np.ones((2, 2, 2)), {}, r"shape \(2, 2, 2\)"),
        ([[1.0], [np.nan], [np.inf]], {}, "2 of 3 embeddings are not finite numbers; the first is row 1"),
        (ROWS, {"n_trials": 0}, "n_trials is a whole number from 1 to 4294967295, not 0"),
        (ROWS, {"max_clusters": 1}, "max_clusters is a whole number from 2"),
        (ROWS, {"seed": -1}, "seed is a whole number from 0 to 4294967295, not -1"),
        (ROWS, {"seed": 2**32}, "not 4294967296"),
        (ROWS, {"algorithms": ["dbscan", "nonsense"]}, "algorithm 'nonsense'; there are: average, dbscan, hdbscan, km"),
        (ROWS, {"algorithms": []}, r"not \[\]"),
        (ROWS, {"algorithms": [3]}, "3 is no clustering algorithm: give a name or"),
        (ROWS, {"algorithms": ["dbscan", ALGORITHMS["dbscan"]]}, "have the same name: dbscan, dbscan"),
        (ROWS, {"reduction": "nonsense"}, "no reduction 'nonsense'"),
        (ROWS[:1], {"reduction": "nonsense"}, "no reduction 'nonsense'"),
        (ROWS, {"n_trials": 1.5}, "not 1.5"),
        (ROWS, {"algorithms": "dbscan"}, "not 'dbscan'"),
        (ROWS, {"reduction": PCA(99)}, "cannot reduce 40 embeddings"),
    ],
)
def test_what_cannot_be_searched_is_an_error(embeddings, arguments, says):
    with pytest.raises(PLDError, match=says):
        search_clusters(embeddings, **arguments)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)])
def test_where_there_are_no_numbers_there_are_no_clusters(shape):
    assert search_clusters(np.zeros(shape)).labels.tolist() == [-1] * shape[0]


def test_the_largest_seed_is_a_seed():
    assert len(search_clusters(ROWS, 6, seed=2**32 - 1).labels) == 40
    assert len(search_clusters(ROWS, 6, seed=np.int32(70_000)).labels) == 40
