"""Questions in every rotation of their choices."""

import json

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pld_dspy.errors import PLDError
from pld_dspy.metrics.circular import count_places, rotated
from pld_dspy.student import Scored


def question(n, answer="A", id="1"):
    choices = [f"choice {number}" for number in range(n)]
    return dspy.Example(pid=id, question="Which?", choices=choices, answer=answer).with_inputs("question", "choices")


@given(st.integers(1, 8), st.data())
def test_each_rotation_has_the_same_right_choice_once_at_every_place(n, data):
    place = data.draw(st.integers(0, n - 1))
    found = rotated([question(n, "ABCDEFGH"[place])])
    assert len(found) == n
    assert {one.choices["ABCDEFGH".index(one.answer)] for one in found} == {f"choice {place}"}
    assert sorted(one.answer for one in found) == list("ABCDEFGH"[:n])
    assert all(sorted(one.choices) == sorted(found[0].choices) for one in found)


@pytest.mark.parametrize("odd", [question(2, "C"), question(2).without("choices"), question(2, "choice 0")])
def test_what_has_no_choices_cannot_be_rotated(odd):
    with pytest.raises(PLDError, match="Example 1 has no choices with a letter"):
        rotated([question(3, id="0"), odd])


def scored(answer, right):
    return Scored(
        purpose="", program="", example="", content="", score=float(answer == right), outputs={"answer": answer}
    )


def test_a_student_that_always_says_b_is_right_in_no_rotation_of_all():
    examples = rotated([question(2, id="1"), question(3, id="2")])
    found = count_places(examples, [scored("B", example.answer) for example in examples])
    assert (found.questions, found.all_right) == (2, 0.0)
    assert (found.answered, found.right) == ({"B": 5}, {"A": 2, "B": 2, "C": 1})


def test_a_student_that_knows_is_right_in_all_and_a_question_without_a_reply_is_left_out():
    examples = rotated([question(2, id="1"), question(2, id="2"), question(2, id="3")])[:-1]
    said = [example.answer for example in examples]
    said[0] = "no idea"
    found = count_places(examples, [scored(answer, one.answer) for answer, one in zip(said, examples, strict=True)])
    assert (found.questions, found.all_right) == (2, 0.5)
    assert found.answered == {"A": 2, "B": 2, "none": 1}


def test_the_command_counts_places(pld):
    done = pld("evaluate", "scienceqa", "--test", "10", "--circular", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n"] == sum(found["circular"]["right"].values()) == sum(found["circular"]["answered"].values()) > 20
    assert found["circular"]["questions"] == 10
    assert "questions right in all rotations; answers by place" in " ".join(done.stderr.split())
    assert json.loads(pld("evaluate", "scienceqa", "--test", "5", "--json").stdout)["circular"] is None
    refused = pld("evaluate", "spiqa", "--test", "5", "--circular")
    assert refused.returncode == 2
    assert "has no choices with a letter as its answer to be rotated" in refused.stderr
