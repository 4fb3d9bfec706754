"""What the report shows of a comparison's folder."""

import base64
import io

import pytest
from PIL import Image

from pld_dspy.errors import PLDError
from pld_dspy.experiment import load_task
from pld_dspy.optimizers.comparison import compare
from pld_dspy.optimizers.registry import BASELINE, METHOD, find_optimizers
from pld_dspy.optimizers.report import THUMBNAIL, contrasts, write_report
from pld_dspy.optimizers.results import Row
from pld_dspy.rehearsal import rehearsal_lm
from pld_dspy.student import Scored


@pytest.fixture(scope="module")
def task():
    return load_task("scienceqa", "sample", {"train": 12, "val": 6, "test": 20}, seed=0)


def answers(task, right: set[int]) -> list[Scored]:
    return [
        Scored(purpose="", program="", example=str(i), content="", score=float(i in right), answer=f"says {i}")
        for i in range(len(task.examples["test"]))
    ]


def rows(*names: str, scores=()) -> list[Row]:
    known = dict(zip(names, scores, strict=False))
    return [Row(optimizer=name, title=name, settings="", results=[], score=known.get(name, 0.5)) for name in names]


def places(task, found) -> list[int]:
    ids = [example.pid for example in task.examples["test"]]
    return [ids.index(contrast.example) for contrast in found]


def test_gains_of_pld_come_first_then_its_losses_then_the_most_divided(task):
    by_name = {
        BASELINE: answers(task, {0, 1, 2, 3, 4, 5}),
        "other": answers(task, {0, 12, 13}),
        METHOD: answers(task, {0, 6, 7, 8, 9, 10}),
    }
    found = contrasts(rows(*by_name), list(by_name.values()), task)
    assert places(task, found)[:8] == [6, 7, 8, 9, 1, 2, 3, 4]
    assert {5, 10, 12, 13} >= set(places(task, found)[8:])
    assert 0 not in places(task, found)  # which all have right
    assert 19 not in places(task, found)  # and all wrong
    assert [reply.optimizers for reply in found[0].replies] == [[BASELINE, "other"], [METHOD]]
    assert [reply.score for reply in found[0].replies] == [0.0, 1.0]
    assert found[0].replies[0].answer == "says 6"


def test_replies_that_are_equal_are_one_in_the_order_of_the_first_of_each(task):
    by_name = {name: answers(task, {0} if name == METHOD else set()) for name in (BASELINE, METHOD, "gepa", "knn")}
    by_name["knn"][0].answer = "says nothing"
    (found,) = contrasts(rows(*by_name), list(by_name.values()), task)
    replies = [(reply.score, reply.answer, reply.optimizers) for reply in found.replies]
    assert replies == [
        (0.0, "says 0", [BASELINE, "gepa"]),
        (1.0, "says 0", [METHOD]),
        (0.0, "says nothing", ["knn"]),
    ]


def test_without_pld_the_best_row_stands_for_it(task):
    by_name = {"low": answers(task, {0}), "high": answers(task, {0, 1, 2})}
    found = contrasts(rows("low", "high", scores=(0.1, 0.2)), list(by_name.values()), task)
    assert places(task, found) == [1, 2]


def test_one_row_contrasts_with_nothing(task):
    assert contrasts(rows(METHOD), [answers(task, {0})], task) == []


def test_a_contrast_has_the_question_the_gold_answer_in_words_and_thumbnails(task):
    place = next(i for i, example in enumerate(task.examples["test"]) if example.image is not None)
    example = task.examples["test"][place]
    (found,) = contrasts(rows(BASELINE, METHOD), [answers(task, set()), answers(task, {place})], task)
    assert found.question == example.question
    assert found.given["choices"] == "; ".join(example.choices)
    assert "image" not in found.given
    assert found.gold == example.choices["ABCDEFGH".index(example.answer)]
    (picture,) = found.pictures
    kind, _, content = picture.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    assert max(Image.open(io.BytesIO(base64.b64decode(content))).size) <= THUMBNAIL


def test_the_report_is_made_of_the_folder(task, tmp_path):
    lm = rehearsal_lm()
    chosen = find_optimizers([BASELINE, "labeled-few-shot", "pld-clustered"])
    found = compare(task, chosen, student_lm=lm, teacher_lm=lm, folder=tmp_path, num_threads=2)
    write_report(found, task, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "What each program is told" in page
    assert "16 demonstrations" not in page  # there are 12 examples
    assert "12 demonstrations" in page
    for row in found.rows:
        assert f"{100 * row.score:.1f}%" in page


def test_a_report_that_cannot_be_written_says_so(task, tmp_path):
    lm = rehearsal_lm()
    found = compare(task, find_optimizers([BASELINE]), student_lm=lm, teacher_lm=lm, folder=tmp_path, num_threads=2)
    (tmp_path / "report.html").mkdir()
    with pytest.raises(PLDError, match=r"report\.html cannot be written"):
        write_report(found, task, tmp_path)
