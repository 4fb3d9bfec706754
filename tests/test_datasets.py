import base64
import io
import json
from pathlib import Path

import dspy
import pytest
from PIL import Image

from pld_dspy.datasets import BadImage, load
from pld_dspy.datasets.sample import write_sample
from pld_dspy.errors import PLDError

SIZES = {"train": 18, "val": 9, "test": 9}
METADATA = ("task", "grade", "subject", "topic", "category", "skill", "lecture", "solution")
REAL = Path(__file__).parents[2] / "shared/data/scienceqa"


@pytest.fixture
def folder(tmp_path):
    write_sample("scienceqa", tmp_path, SIZES)
    return tmp_path


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def pictured(folder, split):
    problems = json.loads((folder / "problems.json").read_text())
    return [pid for pid, problem in problems.items() if problem["split"] == split and problem["image"]]


def seen(figure):
    return Image.open(io.BytesIO(base64.b64decode(figure.format()[0]["image_url"]["url"].split(",")[1])))


def test_examples_have_all_fields_and_the_picture(folder):
    found = load("scienceqa", "test", folder)
    assert len(found) == SIZES["test"]
    problems = json.loads((folder / "problems.json").read_text())
    for example in found:
        problem = problems[example.pid]
        assert set(example.inputs()) == {"question", "choices", "context", "caption", "image", "choice_images"}
        assert example.choices["ABCDEFGH".index(example.answer)] == problem["choices"][problem["answer"]]
        assert {name: example[name] for name in METADATA} == {name: problem[name] for name in METADATA}
        assert (example.context, example.split) == (problem["hint"], "test")
        assert example.pictured == (example.image is not None) == (problem["image"] is not None)
        assert (example.caption, example.choice_images) == ("", [])
    example = next(example for example in found if example.image)
    there = Image.open(folder / "images/test" / example.pid / "image.png")
    assert seen(example.image).tobytes() == there.tobytes()


def test_pictures_of_choices_come_along_in_their_order(folder):
    pid = pictured(folder, "test")[0]
    example = next(example for example in load("scienceqa", "test", folder) if example.pid == pid)
    sizes = [(10 + number, 10) for number in range(len(example.choices))]
    for number, size in enumerate(sizes):
        Image.new("RGB", size).save(folder / f"images/test/{pid}/choice_{number}.png")
    example = next(example for example in load("scienceqa", "test", folder) if example.pid == pid)
    assert [seen(figure).size for figure in example.choice_images] == sizes
    (folder / f"images/test/{pid}/choice_1.png").unlink()
    with pytest.raises(BadImage, match=f"Example {pid} needs the image .*choice_1.png, which is not there"):
        load("scienceqa", "test", folder)


def test_captions_may_lie_beside_the_folder_as_in_the_official_repository(folder):
    inside = load("scienceqa", "test", folder, modality="caption")
    (folder / "captions.json").rename(folder.parent / "captions.json")
    assert load("scienceqa", "test", folder, modality="caption") == inside
    (folder.parent / "captions.json").unlink()
    with pytest.raises(PLDError, match=r"captions\.json"):
        load("scienceqa", "test", folder, modality="caption")


def test_captions_stand_in_for_pictures_and_text_for_neither(folder):
    captions = json.loads((folder / "captions.json").read_text())["captions"]
    with_picture = set(pictured(folder, "test"))
    for example in load("scienceqa", "test", folder, modality="caption"):
        assert (example.image, example.choice_images) == (None, [])
        assert example.caption == captions.get(example.pid, "")
        assert bool(example.caption) == example.pictured == (example.pid in with_picture)
    assert not any(example.caption or example.image for example in load("scienceqa", "test", folder, modality="text"))


def test_descriptions_stand_in_for_pictures_of_questions_and_choices(folder):
    pid = pictured(folder, "test")[0]
    choices = json.loads((folder / "problems.json").read_text())[pid]["choices"]
    for number in range(len(choices)):
        Image.new("RGB", (10, 10)).save(folder / f"images/test/{pid}/choice_{number}.png")
    asked = []

    def describe(figures):
        asked.extend(figures)
        return [f"{Path(figure.url).parent.name}/{Path(figure.url).stem}" for figure in figures]

    found = {
        example.pid: example for example in load("scienceqa", "test", folder, modality="describe", describe=describe)
    }
    assert (found[pid].choices, found[pid].image, found[pid].choice_images) == (choices, None, [])
    own, heading, *others = found[pid].caption.split("\n")
    assert (own, heading) == (f"{pid}/image", "Pictures of the choices, in no known order:")
    assert others == [f"- {pid}/choice_{number}" for number in range(len(choices))]
    for other in set(found) - {pid}:
        assert found[other].caption == (f"{other}/image" if found[other].pictured else "")
    assert all(isinstance(figure, dspy.Image) for figure in asked)
    with pytest.raises(PLDError, match="needs something that describes"):
        load("scienceqa", "test", folder, modality="describe")


def test_pid_splits_decide_and_trainval_is_both(folder):
    change(folder / "pid_splits.json", lambda splits: splits.update(minival=splits["val"][:2]))

    def pids(split):
        return [example.pid for example in load("scienceqa", split, folder)]

    assert pids("minival") == pids("val")[:2]
    assert pids("trainval") == pids("train") + pids("val")
    change(folder / "pid_splits.json", lambda splits: splits.update(trainval=["1"]))
    assert pids("trainval") == ["1"]


def test_a_limit_draws_by_seed_and_gives_what_there_is(folder):
    def pids(seed, limit=5):
        return [example.pid for example in load("scienceqa", "train", folder, limit=limit, seed=seed)]

    assert pids(0) == pids(0) != pids(1)
    assert len(set(pids(0))) == 5
    assert len(pids(0, limit=1000)) == SIZES["train"]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda problem: problem.pop("choices"), "incomplete"),
        (lambda problem: problem.update(answer=9), "incomplete"),
        (lambda problem: problem.update(answer="B"), "incomplete"),
        (lambda problem: problem.update(choices=None), "incomplete"),
        (lambda problem: problem.update(choices="abcd"), "incomplete"),
        (lambda problem: problem.update(choices=[None, "y"]), "incomplete"),
        (lambda problem: problem.update(answer=-1), "incomplete"),
        (lambda problem: problem.update(answer=True), "incomplete"),
        (lambda problem: problem.update(question=None), "incomplete"),
        (lambda problem: problem.update(choices=["x"] * 9), "9 choices; at most 8"),
        (lambda problem: problem.update(split="", image="image.png"), "has no split"),
        (lambda problem: problem.update(image="gone.png"), r"gone\.png, which is not there"),
        (lambda problem: problem.update(image="../../../../secret.png"), "outside"),
        (lambda problem: problem.update(image="/etc/secret.png"), "outside"),
        (lambda problem: problem.update(split="../../..", image="secret.png"), "outside"),
    ],
)
def test_a_faulty_problem_is_named(folder, edit, says):
    change(folder / "problems.json", lambda problems: edit(problems["1"]))
    with pytest.raises(PLDError, match=says) as error:
        load("scienceqa", "train", folder)
    assert " 1 " in str(error.value)


def test_a_pid_does_not_lead_outside_the_folder(folder):
    (folder.parent / "image.png").write_bytes(b"")

    def move(problems):
        problems["../../.."] = problems[pictured(folder, "test")[0]]

    change(folder / "problems.json", move)
    change(folder / "pid_splits.json", lambda splits: splits.update(test=["../../.."]))
    for policy in ("stop", "skip"):
        with pytest.raises(PLDError, match="outside"):
            load("scienceqa", "test", folder, on_bad_image=policy)


def test_pictures_of_choices_do_not_lead_outside_the_folder(folder):
    pid = pictured(folder, "test")[0]
    Image.new("RGB", (9, 9)).save(folder.parent / "secret.png")
    (folder / f"images/test/{pid}/choice_0.png").symlink_to(folder.parent / "secret.png")
    with pytest.raises(PLDError, match="outside"):
        load("scienceqa", "test", folder)


def test_a_problem_counts_once_and_needs_its_caption(folder):
    pids = pictured(folder, "test")[:2]
    change(folder / "pid_splits.json", lambda splits: splits.update(test=[pids[0], *pids]))
    assert [example.pid for example in load("scienceqa", "test", folder)] == pids
    change(folder / "captions.json", lambda captions: captions["captions"].pop(pids[1]))
    with pytest.raises(PLDError, match=f"no caption of problem {pids[1]}"):
        load("scienceqa", "test", folder, modality="caption")


@pytest.mark.parametrize("side", [0, -5, "abc", 1.5, True])
def test_a_side_that_is_no_number_of_pixels_is_refused(folder, side):
    with pytest.raises(PLDError, match="longest_side is a whole number from 1 on"):
        load("scienceqa", "test", folder, longest_side=side)


def test_bad_images_stop_the_load_or_are_skipped_and_counted(folder):
    whole = load("scienceqa", "test", folder)
    missing, damaged = pictured(folder, "test")[:2]
    (folder / f"images/test/{missing}/image.png").unlink()
    (folder / f"images/test/{damaged}/image.png").write_bytes(b"GIF89a")
    with pytest.raises(BadImage, match=r"image.png, which is"):
        load("scienceqa", "test", folder)
    for options in ({}, {"modality": "describe", "describe": lambda figures: ["?"] * len(figures)}):
        found = load("scienceqa", "test", folder, on_bad_image="skip", **options)
        assert [example.pid for example in found] == [
            example.pid for example in whole if example.pid not in (missing, damaged)
        ]
        assert {fault.example for fault in found.skipped} == {missing, damaged}
        assert {fault.fault.split()[0] for fault in found.skipped} == {"is"}
    assert len(load("scienceqa", "test", folder, modality="caption")) == len(whole)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("problems.json", None, "not in the ScienceQA layout"),
        ("problems.json", "{", "not JSON"),
        ("problems.json", "[]", "should be a JSON object"),
        ("pid_splits.json", '{"train": ["1"]}', "has no split 'test'"),
        ("pid_splits.json", '{"test": ["4711"]}', "problem 4711"),
    ],
)
def test_a_folder_that_is_not_in_the_layout_is_refused(folder, file, content, says):
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    with pytest.raises(PLDError, match=says):
        load("scienceqa", "test", folder)


def test_unknown_names_sources_and_settings_are_refused(tmp_path, folder):
    with pytest.raises(PLDError, match="There is no dataset 'imagenet'; there are: scienceqa, spiqa"):
        load("imagenet")
    with pytest.raises(PLDError, match="There is no folder"):
        load("spiqa", source=tmp_path / "none")
    with pytest.raises(PLDError, match="modality is one of image, caption, describe, text, not 'smell'"):
        load("scienceqa", "test", folder, modality="smell")
    with pytest.raises(PLDError, match=r"A setting is none that scienceqa has: .*'colour'"):
        load("scienceqa", "test", folder, colour=True)
    small = [example.image for example in load("scienceqa", "test", folder, longest_side=50) if example.image]
    assert max(seen(small[0]).size) <= 50


@pytest.mark.skipif(not REAL.is_dir(), reason="the sample of real ScienceQA problems is not here")
def test_real_problems_load_with_pictures_and_captions():
    sizes = {"train": (880, 360), "val": (270, 120), "test": (260, 160)}
    for split, (size, with_picture) in sizes.items():
        told = load("scienceqa", split, REAL, modality="caption")
        assert (len(told), sum(example.pictured for example in told)) == (size, with_picture)
        assert all(example.caption for example in told if example.pictured)
    found = load("scienceqa", "test", REAL)
    assert found.skipped == []
    assert sum(bool(example.choice_images) for example in found) > 10
    for example in found:
        assert len(example.choice_images) in (0, len(example.choices))
    assert all(max(seen(example.image).size) <= 1024 for example in found[:40] if example.image)


def test_halves_of_characters_in_a_benchmark_are_named(folder):
    def halve(problems):
        for problem in problems.values():
            problem["question"] += "\ud800"

    change(folder / "problems.json", halve)
    with pytest.raises(PLDError, match=r"problems\.json is not JSON: no low surrogate in string: line 1"):
        load("scienceqa", "test", folder, modality="text")
