import random

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, homogeneity_score

from pld_dspy.clustering import search_clusters, tfidf
from pld_dspy.rehearsal.skills import SKILLS


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
