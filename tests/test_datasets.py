import base64
import io
import json

import pytest
from PIL import Image

from pld_dspy.datasets import load
from pld_dspy.datasets.scienceqa import load_scienceqa
from pld_dspy.datasets.spiqa import load_spiqa
from pld_dspy.errors import PLDError
from pld_dspy.rehearsal.sample import write_sample

SIZES = {"train": 18, "val": 9, "test": 9}


@pytest.fixture
def scienceqa(tmp_path):
    write_sample("scienceqa", tmp_path, SIZES)
    return tmp_path


@pytest.fixture
def spiqa(tmp_path):
    write_sample("spiqa", tmp_path, SIZES)
    return tmp_path


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_scienceqa_examples_have_inputs_labels_and_the_picture(scienceqa):
    found = load_scienceqa(scienceqa, "test")
    assert len(found) == SIZES["test"]
    problems = json.loads((scienceqa / "problems.json").read_text())
    for example in found:
        problem = problems[example.pid]
        assert set(example.inputs()) == {"question", "choices", "context", "image"}
        assert example.choices["ABCDEFGH".index(example.answer)] == problem["choices"][problem["answer"]]
        assert (example.lecture, example.solution) == (problem["lecture"], problem["solution"])
        assert (example.image is None) == (problem["image"] is None)
    example = next(example for example in found if example.image)
    picture = Image.open(io.BytesIO(base64.b64decode(example.image.url.split(",")[1])))
    assert picture == Image.open(scienceqa / "images/test" / example.pid / "image.png")


def test_captions_stand_in_for_pictures(scienceqa):
    pictured = {example.pid: example for example in load_scienceqa(scienceqa, "test") if example.image}
    captions = json.loads((scienceqa / "captions.json").read_text())["captions"]
    for example in load_scienceqa(scienceqa, "test", modality="caption"):
        assert example.image is None
        if example.pid in pictured:
            assert (
                example.context
                == f"{pictured[example.pid].context}\nThe picture shows: {captions[example.pid]}".strip()
            )
    assert not any("shows:" in example.context for example in load_scienceqa(scienceqa, "test", modality="text"))


def test_a_limit_draws_by_seed_and_gives_what_there_is(scienceqa):
    def pids(seed, limit=5):
        return [example.pid for example in load_scienceqa(scienceqa, "train", limit=limit, seed=seed)]

    assert pids(0) == pids(0) != pids(1)
    assert len(set(pids(0))) == 5
    assert len(pids(0, limit=1000)) == SIZES["train"]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda problem: problem.pop("choices"), "incomplete"),
        (lambda problem: problem.update(answer=9), "incomplete"),
        (lambda problem: problem.update(answer="B"), "incomplete"),
        (lambda problem: problem.update(image="gone.png"), r"gone\.png, which is not there"),
        (lambda problem: problem.update(image="../../../../secret.png"), "outside"),
        (lambda problem: problem.update(split="../../..", image="secret.png"), "outside"),
    ],
)
def test_a_faulty_problem_is_named(scienceqa, edit, says):
    change(scienceqa / "problems.json", lambda problems: edit(problems["1"]))
    with pytest.raises(PLDError, match=says) as error:
        load_scienceqa(scienceqa, "train")
    assert " 1 " in str(error.value)


def test_a_paper_id_does_not_lead_outside_the_folder(spiqa):
    change(spiqa / "test-A/SPIQA_testA.json", lambda papers: papers.update({"../../x": papers.popitem()[1]}))
    with pytest.raises(PLDError, match="outside"):
        load_spiqa(spiqa, "test")


def test_spiqa_examples_have_all_figures_of_the_paper_with_captions(spiqa):
    found = load_spiqa(spiqa, "train")
    assert len(found) == SIZES["train"]
    papers = json.loads((spiqa / "train_val/SPIQA_train.json").read_text())
    for example in found:
        figures = papers[example.paper]["all_figures"]
        assert set(example.inputs()) == {"question", "figures", "captions"}
        assert example.captions == [figure["caption"] for figure in figures.values()]
        assert len(example.figures) == len(figures) == 3
        assert example.reference in figures
    bare = load_spiqa(spiqa, "train", modality="caption")[0]
    assert (bare.figures, bare.captions) == ([], found[0].captions)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("problems.json", None, "not in the ScienceQA layout"),
        ("problems.json", "{", "not JSON"),
        ("problems.json", "[]", "should be a JSON object"),
        ("pid_splits.json", '{"train": ["1"]}', "has no split 'test'"),
    ],
)
def test_a_folder_that_is_not_in_the_layout_is_refused(scienceqa, file, content, says):
    (scienceqa / file).unlink()
    if content is not None:
        (scienceqa / file).write_text(content)
    with pytest.raises(PLDError, match=says):
        load("scienceqa", "test", scienceqa)


def test_unknown_names_and_sources_are_refused(tmp_path):
    with pytest.raises(PLDError, match="There is no dataset 'imagenet'; installed are: scienceqa, spiqa"):
        load("imagenet")
    with pytest.raises(PLDError, match="There is no folder"):
        load("spiqa", source=tmp_path / "none")
    with pytest.raises(PLDError, match="hub"):
        load("spiqa", source="hub")
    with pytest.raises(PLDError, match="no split 'test-Z'"):
        load("spiqa", "test-Z", tmp_path)
