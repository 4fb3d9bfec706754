import pytest
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.synthesis.candidates import Candidate, settle


def candidates(*results: tuple[float, int]) -> list[Candidate]:
    return [
        Candidate(clusterings={"answer": str(number)}, rules={}, prompt_tokens=tokens, score=score)
        for number, (score, tokens) in enumerate(results)
    ]


@pytest.mark.parametrize(
    ("results", "front", "chosen"),
    [
        ([(0.5, 100)], [0], 0),
        ([(0.5, 100), (0.7, 300), (0.6, 200)], [0, 1, 2], 1),  # the highest score
        ([(0.5, 100), (0.4, 200), (0.7, 300)], [0, 2], 2),  # worse in both
        ([(0.7, 300), (0.7, 100), (0.7, 200)], [1], 1),  # of equal scores the fewest tokens
        ([(0.6, 100), (0.7, 100)], [1], 1),  # of equal tokens the highest score
        ([(0.2, 50), (0.7, 100), (0.7, 100)], [0, 1, 2], 1),  # of equals the first
        ([(0.0, 0), (0.0, 0)], [0, 1], 0),
    ],
)
def test_the_front_and_what_is_kept(results, front, chosen):
    settled = settle(candidates(*results))
    assert [number for number, each in enumerate(settled) if each.on_front] == front
    assert [number for number, each in enumerate(settled) if each.chosen] == [chosen]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_front_is_what_no_other_candidate_beats(results):
    given_in = candidates(*results)
    settled = settle(given_in)
    assert [each.clusterings for each in settled] == [each.clusterings for each in given_in], "in the same order"
    assert not any(each.on_front or each.chosen for each in given_in), "the input is left as it is"
    for one in settled:
        better = [
            other
            for other in settled
            if other.score >= one.score
            and other.prompt_tokens <= one.prompt_tokens
            and (other.score, other.prompt_tokens) != (one.score, one.prompt_tokens)
        ]
        assert one.on_front == (not better)
    (kept,) = (each for each in settled if each.chosen)
    assert (kept.score, -kept.prompt_tokens) == max((each.score, -each.prompt_tokens) for each in settled)
