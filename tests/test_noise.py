import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.clustering.noise import second_look
from pld_dspy.clustering.points import Points
from pld_dspy.clustering.quality import tidy


def at(*degrees: float, weights: list[int] | None = None) -> Points:
    """Directions in a plane."""
    angles = np.radians(degrees)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return Points(rows, np.array(weights or [1] * len(degrees)), np.arange(len(degrees)))


GROUPS = (0, 4, 8, 12, 180, 184, 188)  # two clusters, spread by 6 and 4 degrees
LABELS = [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ([1], [0]),  # within the first cluster
        ([182.5], [1]),
        ([14], [-1]),  # a little outside of it
        ([90], [-1]),
        ([90, 93], [2, 2]),  # as near to each other as members are to their means
        ([90, 110], [-1, -1]),
        ([90, 92, 95], [2, 2, -1]),  # the third's nearest has a nearer one
        ([90, 95, 92], [2, -1, 2]),
        ([90, 92, 270, 271], [2, 2, 3, 3]),
        ([11, 13], [0, -1]),  # the one that joins leaves the other alone
    ],
)
def test_noise_joins_what_is_near_or_pairs_or_stays(noise, expected):
    found = second_look(at(*GROUPS, *noise), np.array(LABELS + [-1] * len(noise)))
    assert found[:7].tolist() == LABELS
    assert found[7:].tolist() == expected


def test_clusters_are_numbered_by_size_after_the_second_look():
    joined = second_look(at(*GROUPS, 181, 182.5), np.array([*LABELS, -1, -1]))
    assert joined.tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_noise_of_several_equal_embeddings_is_a_cluster_already():
    assert second_look(at(*GROUPS, 90, weights=[1] * 7 + [2]), np.array([*LABELS, -1])).tolist() == [*LABELS, 2]


@pytest.mark.parametrize("labels", [LABELS, [-1] * 7])
def test_without_noise_or_without_clusters_there_is_nothing_to_look_at(labels):
    assert second_look(at(*GROUPS), np.array(labels)).tolist() == labels


def test_a_zero_vector_stays_noise_without_a_word(recwarn):
    points = at(*GROUPS, 90, 270)
    points.vectors[7:] = 0
    assert second_look(points, np.array([*LABELS, -1, -1])).tolist() == [*LABELS, -1, -1]
    assert not recwarn.list


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 6))
def test_no_cluster_loses_a_member(seed, n, clusters):
    rng = np.random.default_rng(seed)
    points = at(*rng.uniform(0, 360, n))
    before = tidy(rng.integers(-1, clusters, n), points.weights)
    after = second_look(points, before)
    assert np.array_equal(after, tidy(after, points.weights))
    for label in range(before.max() + 1):
        members = after[before == label]
        assert (members == members[0]).all()
        assert members[0] >= 0
    assert len(np.unique(after[after >= 0])) >= before.max() + 1
