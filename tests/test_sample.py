import json
from pathlib import Path

import pytest

from pld_dspy.datasets import load
from pld_dspy.datasets.sample import SIZES, sample_folder, write_sample
from pld_dspy.errors import PLDError


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("benchmark", ["scienceqa", "spiqa"])
def test_equal_seeds_draw_equal_samples(tmp_path, benchmark):
    sizes = {"train": 12, "val": 4, "test": 4}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_sample(benchmark, tmp_path / name, sizes, seed)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a") != content(tmp_path / "c")


@pytest.mark.parametrize("benchmark", ["scienceqa", "spiqa"])
def test_the_sample_is_written_once_and_no_question_is_in_two_splits(benchmark):
    folder = sample_folder(benchmark)
    written = folder.stat().st_mtime_ns
    questions: dict[str, set] = {}
    for split, size in SIZES.items():
        examples = load(benchmark, split)
        assert len(examples) == size
        questions[split] = {json.dumps({k: str(v) for k, v in example.inputs().items()}) for example in examples}
        assert len(questions[split]) == size, "a question came twice"
    assert not questions["train"] & questions["test"]
    assert not questions["train"] & questions["val"]
    assert not questions["val"] & questions["test"]
    assert sample_folder(benchmark) == folder
    assert folder.stat().st_mtime_ns == written


def test_there_is_no_sample_of_anything_else(tmp_path):
    with pytest.raises(PLDError, match="no generated sample of 'docvqa'"):
        write_sample("docvqa", tmp_path)
