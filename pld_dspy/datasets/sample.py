"""The generated sample, written out in the official ScienceQA and SPIQA layouts."""

import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from pld_dspy.datasets.files import made_once
from pld_dspy.datasets.spiqa_layout import SPLITS
from pld_dspy.errors import PLDError
from pld_dspy.rehearsal.skills import SKILLS, Problem, Skill

SIZES = {"train": 480, "val": 160, "test": 240}  # questions
FIGURES_OF_A_PAPER = 3


def sample_folder(benchmark: str) -> Path:
    """The sample in the user's cache folder ($XDG_CACHE_HOME or ~/.cache), written there on first use.

    The folder's name has a hash of the code that draws, so that it is drawn anew when that changes.
    """
    code = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py")))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pld-dspy"
    folder = cache / f"{benchmark}-sample-{hashlib.sha256(code).hexdigest()[:12]}"
    return made_once(folder, lambda part: write_sample(benchmark, part))


def write_sample(benchmark: str, folder: Path, sizes: dict[str, int] = SIZES, seed: int = 0) -> None:
    """Draw a sample into a folder; no question, with its figure, is in two splits or twice in one.

    `sizes` are the questions of train, val and test; equal seeds draw equal samples. Raises PLDError if there is no
    sample of such a benchmark.
    """
    writers = {"scienceqa": _write_scienceqa, "spiqa": _write_spiqa}
    if benchmark not in writers:
        raise PLDError(f"There is no generated sample of {benchmark!r}; there is one of {', '.join(writers)}.")
    skills = [skill for skill in SKILLS if skill.benchmark == benchmark]
    writers[benchmark](_problems(skills, random.Random(seed)), folder, sizes)


def _problems(skills: list[Skill], rng: random.Random) -> Iterator[tuple[Skill, Problem]]:
    """Distinct problems without end, the skills in turn."""
    seen: set[bytes] = set()
    turn = 0
    while True:
        skill = skills[turn % len(skills)]
        problem = skill.draw(rng)
        pixels = problem.figure.tobytes() if problem.figure else b""
        key = hashlib.sha256(repr(problem).encode() + pixels).digest()
        if key not in seen:
            seen.add(key)
            turn += 1
            yield skill, problem


def _write_scienceqa(problems: Iterator[tuple[Skill, Problem]], folder: Path, sizes: dict[str, int]) -> None:
    table: dict[str, dict] = {}
    captions: dict[str, str] = {}
    for split in (split for split, size in sizes.items() for _ in range(size)):
        pid, (skill, problem) = str(len(table) + 1), next(problems)
        table[pid] = {"task": "closed choice", "category": skill.topic, "skill": skill.name, "split": split}
        table[pid] |= {name: getattr(skill, name) for name in ("grade", "subject", "topic", "lecture")}
        table[pid] |= {name: getattr(problem, name) for name in ("question", "choices", "hint", "solution")}
        table[pid]["answer"] = problem.choices.index(problem.answer)
        table[pid]["image"] = "image.png" if problem.figure else None
        if problem.figure:
            captions[pid] = problem.caption
            _save(problem.figure, folder / "images" / split / pid / "image.png")
    splits = {split: [pid for pid, row in table.items() if row["split"] == split] for split in sizes}
    _dump(table, folder / "problems.json")
    _dump(splits, folder / "pid_splits.json")
    _dump({"captions": captions}, folder / "captions.json")


def _write_spiqa(problems: Iterator[tuple[Skill, Problem]], folder: Path, sizes: dict[str, int]) -> None:
    for split, size in sizes.items():
        papers: dict[str, dict] = {}
        for first in range(0, size, FIGURES_OF_A_PAPER):
            paper = f"{split}.{len(papers) + 1:05d}v1"
            figures, questions = {}, []
            for number in range(1, FIGURES_OF_A_PAPER + 1):
                skill, problem = next(problems)
                content = "table" if skill.figure_type == "table" else "figure"
                name = f"{paper}-{content.capitalize()}{number}-1.png"
                if problem.figure:
                    _save(problem.figure, folder / SPLITS[split].images / paper / name)
                figure_type = "N/A" if content == "table" else skill.figure_type
                figures[name] = {"caption": problem.caption, "content_type": content, "figure_type": figure_type}
                answer = {"question": problem.question, "answer": problem.answer, "explanation": problem.solution}
                questions.append({**answer, "reference": name})
            papers[paper] = {"paper_id": paper, "all_figures": figures, "qa": questions[: size - first]}
        _dump(papers, folder / SPLITS[split].questions)


def _save(figure: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.save(path, compress_level=1)


def _dump(content: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
