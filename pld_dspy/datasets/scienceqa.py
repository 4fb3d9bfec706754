"""ScienceQA: its official layout and its copy on the hub (Lu et al., NeurIPS 2022, arXiv:2209.09513)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dspy

from pld_dspy.datasets.files import choose, inside, read_json
from pld_dspy.datasets.hub import Hub, open_rows
from pld_dspy.datasets.images import Describe, Figure, File, Source
from pld_dspy.errors import PLDError
from pld_dspy.pictures import LONGEST_SIDE
from pld_dspy.settings import one_of, positive

if TYPE_CHECKING:
    import datasets

LETTERS = "ABCDEFGH"
MODALITIES = ("image", "caption", "describe", "text")
REPOSITORY = "derek-thomas/ScienceQA"
HUB_SPLITS = {"train": "train", "val": "validation", "trainval": "train+validation", "test": "test"}
METADATA = ("task", "grade", "subject", "topic", "category", "skill", "lecture", "solution")


class Problem(NamedTuple):
    """One problem, wherever it comes from."""

    pid: str
    content: dict[str, Any]
    image: Source | None = None
    choice_images: Sequence[Source] = ()
    caption: str = ""  # of the image


class Cell(NamedTuple):
    """A picture in a row of a hub dataset, which `datasets` reads from disk when it is asked for."""

    rows: "datasets.Dataset"
    row: int

    @property
    def name(self) -> str:
        return f"in row {self.row} of {self.rows.split} ({self.rows._fingerprint})"

    @property
    def version(self) -> object:
        return self.name

    def read(self) -> bytes:
        content = self.rows[self.row]["image"]["bytes"]
        if content is None:  # but a path, which could be any of this machine's
            raise OSError("the row holds no picture")
        return content


def load_scienceqa(
    source: Path | Hub,
    split: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    modality: str = "image",
    describe: Describe | None = None,
    longest_side: int | None = LONGEST_SIDE,
) -> list[dspy.Example]:
    """Load one split.

    Args:
        source: a folder with problems.json, pid_splits.json, images/SPLIT/PID/ and, there or in the folder above, as
            in the official repository, captions.json (for `modality="caption"`); or the hub.
        split: a name in pid_splits.json (train, val, test, minitrain, ...), or "trainval". The hub has train, val,
            trainval and test, and neither captions nor pictures of choices.
        limit, seed, describe: as `pld_dspy.datasets.load` takes them.
        modality: "image" gives the pictures; "caption" a caption of the picture, and "describe" what `describe` says of
            it and of the choices' pictures, for models without eyes; "text" none of these.
        longest_side: of a picture as models get it, in pixels.

    Returns:
        Examples with the inputs question, choices, context (the hint), caption, image, choice_images (none, or pictures
        of the choices in no known order: of 75 problems that were opened and looked at on 2026-11-27, those of 26 are
        in the order of the choices), and with pid, answer (a letter), pictured (whether the problem has a picture, in
        any modality), split, task, grade, subject, topic, category, skill, lecture and solution.

    Raises:
        PLDError: the source is not in the layout, or lacks a split, a problem or captions.
    """
    one_of(modality, MODALITIES, "ScienceQA's modality")
    positive(longest_side, "longest_side")
    if isinstance(source, Hub):
        problems = _read_hub(source.repository or REPOSITORY, split, limit, seed, modality)
    else:
        problems = _read_folder(source, split, limit, seed, modality)
    examples = [_example(problem, modality, longest_side) for problem in problems]
    return _in_words(examples, describe) if modality == "describe" and describe else examples


def _read_folder(folder: Path, split: str, limit: int | None, seed: int, modality: str) -> Iterator[Problem]:
    problems = read_json(folder / "problems.json", "ScienceQA")
    splits = read_json(folder / "pid_splits.json", "ScienceQA")
    parts = ("train", "val") if split == "trainval" and split not in splits else (split,)
    if not all(isinstance(splits.get(part), list) for part in parts):
        raise PLDError(f"{folder} has no split {split!r}; it has {', '.join(splits)}.")
    pids = list(dict.fromkeys(str(pid) for part in parts for pid in splits[part]))
    beside = folder.parent / "captions.json"
    captioned = beside if beside.exists() and not (folder / "captions.json").exists() else folder / "captions.json"
    captions = read_json(captioned, "ScienceQA") if modality == "caption" else {}
    captions = captions.get("captions", captions)
    if not isinstance(captions, dict):
        raise PLDError(f"{captioned} is not in the ScienceQA layout: it has no captions by pid.")
    images = folder / "images"
    for pid in choose(pids, limit, seed):
        content = problems.get(pid)
        if not isinstance(content, dict) or (content.get("image") and not content.get("split")):
            raise PLDError(f"{folder / 'problems.json'}: problem {pid} of split {split!r} is missing or has no split.")
        if not content.get("image"):
            yield Problem(pid, content)
            continue
        if modality == "caption" and not captions.get(pid):
            raise PLDError(f"{captioned} has no caption of problem {pid}, which has a picture.")
        place = (str(content["split"]), pid)
        names = [str(content["image"]), *(f"choice_{number}.png" for number in range(len(_choices(pid, content))))]
        image, *pictures = [inside(images, *place, name, example=pid) for name in names]
        choice_images = [File(path) for path in pictures] if any(map(Path.exists, pictures)) else []
        yield Problem(pid, content, File(image), choice_images, str(captions.get(pid) or ""))


def _read_hub(repository: str, split: str, limit: int | None, seed: int, modality: str) -> Iterator[Problem]:
    one_of(split, tuple(HUB_SPLITS), f"The split of {repository}")
    if modality == "caption":
        raise PLDError("The hub's ScienceQA has no captions: give a folder with captions.json, or --modality describe.")
    rows = open_rows(repository, HUB_SPLITS[split], picture="image")
    pictured = rows.data.column("image").is_valid().to_pylist()
    texts = rows.remove_columns("image")
    for row in choose(range(len(rows)), limit, seed):
        pid = f"{split}-{row}"  # the hub's copy has no ids
        yield Problem(pid, {**texts[row], "split": split}, Cell(rows, row) if pictured[row] else None)


def _example(problem: Problem, modality: str, longest_side: int | None) -> dspy.Example:
    pid, content = problem.pid, problem.content
    choices, answer, question = _choices(pid, content), content.get("answer"), content.get("question")
    if not isinstance(question, str) or type(answer) is not int or not 0 <= answer < len(choices):
        raise PLDError(f"Problem {pid} of ScienceQA is incomplete: it has no question, or no choice is its answer.")
    image, choice_images = None, []
    if modality in ("image", "describe") and problem.image is not None:
        image = Figure(problem.image, example=pid, longest_side=longest_side)
        choice_images = [Figure(choice, example=pid, longest_side=longest_side) for choice in problem.choice_images]
    return dspy.Example(
        pid=pid,
        question=question,
        choices=choices,
        context=str(content.get("hint") or ""),
        caption=problem.caption,
        image=image,
        choice_images=choice_images,
        answer=LETTERS[answer],
        pictured=problem.image is not None,
        split=str(content.get("split") or ""),
        **{name: str(content.get(name) or "") for name in METADATA},
    ).with_inputs("question", "choices", "context", "caption", "image", "choice_images")


def _choices(pid: str, content: dict[str, Any]) -> list[str]:
    choices = content.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, str | int | float) for choice in choices):
        raise PLDError(f"Problem {pid} of ScienceQA is incomplete: its choices are no list of texts.")
    if len(choices) > len(LETTERS):
        raise PLDError(f"Problem {pid} of ScienceQA has {len(choices)} choices; at most {len(LETTERS)} have a letter.")
    return [str(choice) for choice in choices]


def _in_words(examples: list[dspy.Example], describe: Describe) -> list[dspy.Example]:
    """The examples with texts in the place of pictures."""
    figures = [figure for example in examples if example.image for figure in (example.image, *example.choice_images)]
    texts = iter(describe(figures))
    for number, example in enumerate(examples):
        if example.image:
            caption, pictured = next(texts), [next(texts) for _ in example.choice_images]
            if pictured:
                listed = "\n".join(f"- {text}" for text in pictured)
                caption = f"{caption}\nPictures of the choices, in no known order:\n{listed}"
            examples[number] = example.copy(caption=caption, image=None, choice_images=[])
    return examples
