import json
import random
from collections import Counter
from pathlib import Path

import pytest
from spiqa_papers import FILES, PAPER, PAPERS, paper_a, paper_b, paper_c, write

from pld_dspy.datasets import load
from pld_dspy.datasets.spiqa import MODALITIES, load_spiqa
from pld_dspy.datasets.spiqa_layout import TEXTS
from pld_dspy.errors import PLDError

REAL = Path(__file__).parents[2] / "shared/data/spiqa"
real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real questions are not in {REAL}")


def described(figures):
    return [f"seen: {Path(figure.url).name}" for figure in figures]


@pytest.mark.parametrize(
    ("split", "folder"),
    [
        ("train", f"train_val/SPIQA_train_val_Images/{PAPER}"),
        ("val", f"train_val/SPIQA_train_val_Images/{PAPER}"),
        ("test", f"test-A/SPIQA_testA_Images/{PAPER}"),
        ("test-A", f"test-A/SPIQA_testA_Images/{PAPER}"),
        ("test-B", "test-B/SPIQA_testB_Images/ab"),
        ("test-C", "test-C/SPIQA_testC_Images/1808.1"),
    ],
)
def test_every_split_is_read_from_its_place(tmp_path, split, folder):
    official = "test-A" if split == "test" else split
    write(tmp_path, official, PAPERS[official]())
    found = load_spiqa(tmp_path, split)
    assert {example.split for example in found} == {official}
    for example in found:
        assert set(example.inputs()) == {"question", "figures", "captions", "passages"}
        assert len(example.figures) == len(example.captions) >= 2
        assert {str(Path(figure.url).parent) for figure in example.figures} == {str(tmp_path / folder)}
        assert {figure.example for figure in example.figures} == {example.question_id}


def test_test_a_examples(tmp_path):
    first, second = load_spiqa(write(tmp_path, "test-A", paper_a()), "test")
    assert (first.question_id, second.question_id, first.paper) == (f"{PAPER}/0", f"{PAPER}/1", PAPER)
    assert (first.question, first.answer, first.explanation) == ("Why 0?", "So 0.", "E.")
    assert first.captions == ["Fig. 0", "Fig. 1", "Fig. 2"]
    assert (first.reference, first.figure, first.referred) == (f"{PAPER}-Figure1-1.png", "2", ["2"])
    assert (first.figure_type, first.passages) == ("plot", "")


def test_test_b_examples(tmp_path):
    first, second = load_spiqa(write(tmp_path, "test-B", paper_b()), "test-B", modality="caption+text")
    assert [first.question_id, second.question_id] == [f"{PAPER}/11", f"{PAPER}/12"]
    assert (first.answer, first.explanation, first.passages) == ("So.", "R1\nR2", "One.\n\nTwo.")
    assert (first.reference, first.figure, first.referred) == ("ab/2-Table1-1.png", "2", ["2", "1"])
    assert first.figure_type == "table"
    assert (second.reference, second.figure, second.referred, second.figure_type) == ("", "", [], "other")


def test_test_c_examples(tmp_path):
    found = load_spiqa(write(tmp_path, "test-C", paper_c()), "test-C", modality="text")
    assert [example.answer for example in found] == ["This.", "Yes", "No"]
    assert [example.referred for example in found] == [["1"], ["3"], ["2"]]
    assert [example.figure_type for example in found] == ["table", "other", "table"]
    assert found[0].passages == "Intro\nOne.\nTwo."


@pytest.mark.parametrize("answer", [{"free_form_answer": "", "yes_no": None}, {"free_form_answer": ""}, {}])
def test_an_answer_that_is_none_is_named(tmp_path, answer):
    write(tmp_path, "test-C", {**paper_c(), "answer": [answer] * 3})
    with pytest.raises(PLDError, match=f"{PAPER}/x .*neither a text nor yes or no"):
        load_spiqa(tmp_path, "test-C", modality="caption")


@pytest.mark.parametrize(
    ("given", "content_type", "kind"),
    [
        ("** Schematic", "figure", "schematic"),
        ("photograph(s)", "figure", "photograph"),
        ("table.", "figure", "table"),
        ("N/A", "table", "table"),
        ('"other"', "figure", "other"),
        ("", "figure", "other"),
        (None, "figure", "other"),
    ],
)
def test_figure_types_are_the_benchmarks_five(tmp_path, given, content_type, kind):
    paper = paper_a()
    for figure in paper["all_figures"].values():
        figure.update(figure_type=given, content_type=content_type)
    assert load_spiqa(write(tmp_path, "test-A", paper), "test")[0].figure_type == kind


def test_of_many_figures_the_referred_one_and_a_draw_stay_in_order(tmp_path):
    write(tmp_path, "test-A", paper_a(figures=20, reference=13))

    def shown(seed=0, **settings):
        found = load_spiqa(tmp_path, "test", modality="caption", seed=seed, **settings)
        return [example.captions for example in found]

    captions = [f"Fig. {n}" for n in range(20)]
    first, second = shown()
    assert len(first) == len(second) == 8
    assert first != second, "drawn for each question"
    for each in (first, second):
        assert "Fig. 13" in each
        assert each == sorted(each, key=captions.index)
    assert shown() == [first, second] != shown(seed=1)
    assert shown(max_figures=3)[0].index("Fig. 13") in (0, 1, 2)
    assert shown(max_figures=None) == [captions] * 2
    example = load_spiqa(tmp_path, "test", modality="caption")[0]
    assert example.captions[int(example.figure) - 1] == "Fig. 13"


def test_all_referred_figures_stay(tmp_path):
    write(tmp_path, "test-B", paper_b())
    first, second = load_spiqa(tmp_path, "test-B", modality="caption", max_figures=1)
    assert first.captions == ["Figure 1", "Table 1"]
    assert len(second.captions) == 1


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modality_has_its_fields_and_no_others(tmp_path, modality):
    write(tmp_path, "test-B", paper_b())
    example = load_spiqa(tmp_path, "test-B", modality=modality, describe=described)[0]
    shown = modality.removesuffix("+text")
    assert bool(example.figures) == (shown in ("image", "figures"))
    assert bool(example.captions) == (shown in ("image", "caption", "describe"))
    assert bool(example.passages) == modality.endswith("text")


def test_descriptions_follow_their_captions(tmp_path):
    write(tmp_path, "test-B", paper_b())
    asked = []

    def describe(figures):
        asked.append([figure.example for figure in figures])
        return described(figures)

    for example in load_spiqa(tmp_path, "test-B", modality="describe", describe=describe):
        assert example.captions == ["Figure 1\nseen: 1-Figure1-1.png", "Table 1\nseen: 2-Table1-1.png"]
    assert asked == [[f"{PAPER}/11"] * 2 + [f"{PAPER}/12"] * 2], "one call"
    with pytest.raises(PLDError, match="something that describes"):
        load("spiqa", "test-B", tmp_path, modality="describe+text")


def test_the_text_of_a_paper_is_read_from_its_file(tmp_path):
    write(tmp_path, "val", paper_a())
    with pytest.raises(PLDError, match=f"1 of 1 papers is missing, as of {PAPER}: it would be in .*{TEXTS}/PAPER.txt"):
        load_spiqa(tmp_path, "val", modality="text")
    (tmp_path / TEXTS).mkdir()
    (tmp_path / TEXTS / f"{PAPER}.txt").write_text("All of it.", encoding="utf-8")
    assert load_spiqa(tmp_path, "val", modality="text")[0].passages == "All of it."
    paper = paper_b()
    del paper["passages"]
    with pytest.raises(PLDError, match=r"would be in 'passages' of test-B/SPIQA_testB\.json"):
        load_spiqa(write(tmp_path, "test-B", paper), "test-B", modality="image+text")


def test_unknown_modalities_and_splits_are_refused(tmp_path):
    with pytest.raises(PLDError, match=r"SPIQA's modality is one of image, .*not 'text\+image'"):
        load_spiqa(tmp_path, "test", modality="text+image")
    with pytest.raises(PLDError, match="no split 'test-D'; it has train, val, test-A"):
        load_spiqa(tmp_path, "test-D")


@pytest.mark.parametrize(
    ("split", "edit", "names"),
    [
        ("val", lambda paper: paper.pop("qa"), f"paper {PAPER} .*no 'qa'"),
        ("val", lambda paper: paper.update(qa={}), f"paper {PAPER} .*should be a list"),
        ("val", lambda paper: paper.update(qa=["?"]), f"question {PAPER}/0"),
        ("val", lambda paper: paper["qa"][1].pop("reference"), f"question {PAPER}/1 .*no 'reference'"),
        ("val", lambda paper: paper["qa"][0].update(answer=["a"]), f"question {PAPER}/0 .*should be a text"),
        ("val", lambda paper: paper.update(all_figures=[]), f"question {PAPER}/0"),
        (
            "val",
            lambda paper: paper["all_figures"].update(a={"caption": None, "content_type": ""}),
            "be a text, not None",
        ),
        ("test-B", lambda paper: paper["question"].pop(), f"paper {PAPER} .*different lengths"),
        ("test-B", lambda paper: paper.pop("composition"), f"paper {PAPER} .*no 'composition'"),
        ("test-B", lambda paper: paper.update(question="??"), f"paper {PAPER} .*should be a list"),
        ("test-B", lambda paper: paper.update(question_key=["1", "1"]), f"two questions {PAPER}/1"),
        ("test-B", lambda paper: paper.update(figure_types=None), f"question {PAPER}/11"),
        ("test-B", lambda paper: paper["all_figures_tables"].update(a=None), f"question {PAPER}/11"),
        ("test-C", lambda paper: paper["figures_and_tables"][0].pop("file"), f"question {PAPER}/x .*no 'file'"),
        ("test-C", lambda paper: paper.update(answer=[None] * 3), f"question {PAPER}/x"),
        ("test-C", lambda paper: paper.pop("arxiv_id"), f"question {PAPER}/x .*no 'arxiv_id'"),
    ],
)
def test_a_faulty_paper_is_named(tmp_path, split, edit, names):
    paper = PAPERS[split]()
    edit(paper)
    write(tmp_path, split, paper)
    with pytest.raises(PLDError, match=names) as error:
        load_spiqa(tmp_path, split, modality="caption")
    assert Path(FILES[split]).name in str(error.value)


def test_no_name_leads_outside_the_folder(tmp_path):
    write(tmp_path, "val", paper_a(), paper="../../up")
    for modality in ("image", "text"):
        with pytest.raises(PLDError, match="outside"):
            load_spiqa(tmp_path, "val", modality=modality)
    outside = {**paper_b(), "all_figures_tables": {"/etc/passwd": "x"}, "figure_types": {}}
    with pytest.raises(PLDError, match="outside"):
        load_spiqa(write(tmp_path, "test-B", outside), "test-B")
    climbs = {**paper_c(), "arxiv_id": "../.."}
    with pytest.raises(PLDError, match="outside"):
        load_spiqa(write(tmp_path, "test-C", climbs), "test-C")


@real
def test_the_real_test_a():
    found = load("spiqa", "test-A", REAL, modality="caption", max_figures=None)
    papers = json.loads((REAL / FILES["test-A"]).read_text())
    assert len(found) == len({example.question_id for example in found}) == 368
    for example in found:
        assert example.question
        assert example.answer
        assert example.captions
        assert list(papers[example.paper]["all_figures"])[int(example.figure) - 1] == example.reference
    for few in random.Random(0).sample(list(load("spiqa", "test", REAL, modality="caption")), 100):
        caption = papers[few.paper]["all_figures"][few.reference]["caption"]
        assert few.captions[int(few.figure) - 1] == caption.strip()
        assert len(few.captions) <= 8
    assert min(Counter(example.figure_type for example in found).values()) > 3


@real
def test_the_real_test_b():
    found = load("spiqa", "test-B", REAL, modality="caption+text", max_figures=None)
    papers = json.loads((REAL / FILES["test-B"]).read_text())
    assert len(found) == len({example.question_id for example in found}) == 165
    for example in found:
        names = list(papers[example.paper]["all_figures_tables"])
        assert example.answer
        assert example.referred[0] == example.figure
        assert names[int(example.figure) - 1] == example.reference
    assert sum(bool(example.passages) for example in found) >= 150
