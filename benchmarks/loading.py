"""How long it takes, and how much memory, to load as many ScienceQA problems as there are, each with a picture.

    python benchmarks/loading.py [FOLDER]

The problems of FOLDER (in the official layout; by default the generated sample) are repeated until the splits have
their official sizes. Every problem gets a picture: its own, or another one's.
"""

import argparse
import itertools
import json
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

from pld_dspy.datasets import load
from pld_dspy.datasets.sample import sample_folder

OFFICIAL = {"train": 12_726, "val": 4_241, "test": 4_241}


def repeat(source: Path, target: Path) -> None:
    """Write a folder of the official size."""
    problems = json.loads((source / "problems.json").read_text(encoding="utf-8"))
    pictures = itertools.cycle(sorted((source / "images").rglob("image.png")))
    contents = itertools.cycle(problems.values())
    table: dict[str, dict] = {}
    splits: dict[str, list[str]] = {}
    for split, size in OFFICIAL.items():
        splits[split] = [str(len(table) + number) for number in range(1, size + 1)]
        for pid in splits[split]:
            table[pid] = {**next(contents), "split": split, "image": "image.png"}
            folder = target / "images" / split / pid
            folder.mkdir(parents=True)
            shutil.copyfile(next(pictures), folder / "image.png")
    (target / "problems.json").write_text(json.dumps(table), encoding="utf-8")
    (target / "pid_splits.json").write_text(json.dumps(splits), encoding="utf-8")


def peak() -> float:
    """The most memory that this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path, nargs="?")
    source = arguments.parse_args().folder or sample_folder("scienceqa")
    with tempfile.TemporaryDirectory() as target:
        if (child := os.fork()) == 0:  # so that making the folder does not count
            repeat(source, Path(target))
            os._exit(0)
        os.waitpid(child, 0)
        print(f"problems.json: {(Path(target) / 'problems.json').stat().st_size / 1e6:.1f} MB")
        print(f"before: peak {peak():.0f} MB")
        kept = []
        for split in OFFICIAL:
            start = time.perf_counter()
            kept.append(load("scienceqa", split, target))
            took = time.perf_counter() - start
            print(f"{split}: {len(kept[-1]):,} examples in {took:.1f} s, peak {peak():.0f} MB")
        figures = [example.image for example in kept[-1][:200]]
        start = time.perf_counter()
        size = sum(len(figure.format()[0]["image_url"]["url"]) for figure in figures)
        took = time.perf_counter() - start
        print(f"figures for prompts: {1000 * took / len(figures):.1f} ms and {size / len(figures) / 1000:.0f} kB each")


if __name__ == "__main__":
    main()
