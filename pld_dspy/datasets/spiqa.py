"""SPIQA: its official layout and its copy on the hub (Pramanick et al., NeurIPS 2024, arXiv:2407.09413)."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy

from pld_dspy.datasets.files import choose, inside, read_json
from pld_dspy.datasets.hub import Hub, fetch
from pld_dspy.datasets.images import Describe, Figure, File
from pld_dspy.datasets.spiqa_layout import SPLITS, Question, Row, Split
from pld_dspy.errors import PLDError
from pld_dspy.pictures import LONGEST_SIDE
from pld_dspy.settings import one_of, positive

REPOSITORY = "google/spiqa"
SHOWN = ("image", "figures", "caption", "describe")
MODALITIES = (*SHOWN, "text", *(f"{shown}+text" for shown in SHOWN))
MAX_FIGURES = 8  # of a question, in the benchmark's evaluation


def load_spiqa(
    source: Path | Hub,
    split: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    modality: str = "image",
    describe: Describe | None = None,
    max_figures: int | None = MAX_FIGURES,
    longest_side: int | None = LONGEST_SIDE,
) -> list[dspy.Example]:
    """Load one split.

    Where a paper has more than `max_figures`, an example has those that answer the question and a random draw of the
    others, as in the benchmark's evaluation. They stay in the paper's order, where the official code shuffles them, so
    that the prompts of a paper's questions begin alike and a model's server can reuse what it has read.

    Args:
        source: a folder with train_val/, test-A/, test-B/ or test-C/, and for the text of the papers of train, val and
            test-A SPIQA_train_val_test-A_extracted_paragraphs/; or the hub, of which only what is needed is fetched.
        split: "train", "val", "test-A", "test-B", "test-C", or "test" for test-A.
        limit, seed, describe: as `pld_dspy.datasets.load` takes them.
        modality: "image" gives figures and captions, "figures" and "caption" only these; "describe" gives captions,
            each with what `describe` says of its figure; "text" gives the paper's text, as does "+text" after another.
        max_figures: at most so many figures or captions of a question, but all that answer it; None for all.
        longest_side: of a figure as models get it, in pixels.

    Returns:
        Examples with the inputs question, figures, captions and passages, of which those are empty that the modality
        has not, and with question_id, answer, explanation, paper, split, reference (name of the figure that answers the
        question, the first one of several), figure (its number in the example, counted from 1, "" where it is not
        there), referred (the numbers of all that do) and figure_type (table, plot, schematic, photograph or other).

    Raises:
        PLDError: there is no such split or modality, the source is not in the layout, or lacks a text.
    """
    positive(longest_side, "longest_side")
    positive(max_figures, "max_figures")
    if split not in SPLITS:
        raise PLDError(f"SPIQA has no split {split!r}; it has {', '.join(SPLITS)}.")
    shown = one_of(modality, MODALITIES, "SPIQA's modality").removesuffix("+text")
    split = "test-A" if split == "test" else split
    layout = SPLITS[split]
    questions = _questions(_place(source, layout.questions), layout, limit, seed)
    texts = {paper: question.passages for _, paper, question in questions}
    passages = _passages(source, layout, texts) if modality.endswith("text") else {}
    images = _place(source, layout.images) if shown in ("image", "figures", "describe") else None
    examples = []
    for id, paper, question in questions:
        names = _listed(question, max_figures, f"{seed}/{id}")
        example = _example(question, names).copy(question_id=id, paper=paper, split=split)
        if shown in ("figures", "text"):
            example.captions = []
        if images:
            paths = [inside(images, question.folder, name, example=id) for name in names]
            example.figures = [Figure(File(path), example=id, longest_side=longest_side) for path in paths]
        example.passages = passages.get(paper, "")
        examples.append(example)
    return _in_words(examples, describe) if shown == "describe" and describe else examples


def _example(question: Question, names: list[str]) -> dspy.Example:
    """A question with the captions of some figures."""
    referred = [name for name in question.referred if name in names]
    reference = next(iter([*referred, *question.referred]), "")
    return dspy.Example(
        question=question.question,
        figures=[],
        captions=[question.figures[name].caption for name in names],
        passages="",
        answer=question.answer,
        explanation=question.explanation,
        figure=str(names.index(referred[0]) + 1) if referred else "",
        reference=reference,
        referred=[str(names.index(name) + 1) for name in referred],
        figure_type=question.figures[reference].kind if referred else "other",
    ).with_inputs("question", "figures", "captions", "passages")


def _place(source: Path | Hub, path: str) -> Path:
    """A file, or a folder, which is an archive on the hub, with or without a top folder of its own name."""
    if isinstance(source, Path):
        return source / path
    repository = source.repository or REPOSITORY
    if path.endswith(".json"):
        return fetch(repository, path)
    folder = fetch(repository, f"{path}.zip")
    top = folder / Path(path).name
    return top if top.is_dir() else folder


def _questions(file: Path, layout: Split, limit: int | None, seed: int) -> list[tuple[str, str, Question]]:
    """The chosen questions, each with its id and its paper's."""
    papers = read_json(file, "SPIQA")
    questions = []
    for id, paper, row in choose(_rows(file, layout, papers), limit, seed):
        with _in_layout(f"{file}: question {id}"):
            questions.append((id, paper, layout.read(paper, papers[paper], row)))
    return questions


def _rows(file: Path, layout: Split, papers: dict[str, Any]) -> list[tuple[str, str, Row]]:
    """All questions: id, paper, content."""
    rows: dict[str, tuple[str, str, Row]] = {}
    for paper, content in papers.items():
        with _in_layout(f"{file}: paper {paper}"):
            keyed = layout.rows(content)
        for key, row in keyed:
            id = f"{paper}/{key}"
            if id in rows:
                raise PLDError(f"{file}: there are two questions {id}.")
            rows[id] = (id, paper, row)
    return list(rows.values())


@contextlib.contextmanager
def _in_layout(place: str) -> Iterator[None]:
    """Name what is not in the layout."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        fault = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise PLDError(f"{place} is not in the SPIQA layout: {fault}.") from error


def _listed(question: Question, max_figures: int | None, seed: str) -> list[str]:
    """Names of the figures that the example has."""
    names = list(question.figures)
    if max_figures is None or len(names) <= max_figures:
        return names
    others = [name for name in names if name not in question.referred]
    room = max(0, max_figures - (len(names) - len(others)))
    kept = {*question.referred, *random.Random(seed).sample(others, room)}
    return [name for name in names if name in kept]


def _passages(source: Path | Hub, layout: Split, texts: dict[str, str | None]) -> dict[str, str]:
    """The papers' texts; a paper of test-B may have an empty one."""
    place = f"'passages' of {layout.questions}"
    known = {paper: text for paper, text in texts.items() if text is not None}
    if layout.texts:
        folder = _place(source, layout.texts)
        place = f"{folder}/PAPER.txt"
        paths = {paper: inside(folder, f"{paper}.txt", example=paper) for paper in texts}
        known = {paper: path.read_text("utf-8", "replace") for paper, path in paths.items() if path.is_file()}
    if missing := [paper for paper in texts if paper not in known]:
        count, first = f"{len(missing)} of {len(texts)} papers", ", ".join(missing[:3])
        raise PLDError(f"The text of {count} is missing, as of {first}: it would be in {place}.")
    return known


def _in_words(examples: list[dspy.Example], describe: Describe) -> list[dspy.Example]:
    """The examples with texts in the place of figures."""
    texts = iter(describe([figure for example in examples for figure in example.figures]))
    return [
        example.copy(captions=[f"{caption}\n{next(texts)}".strip() for caption in example.captions], figures=[])
        for example in examples
    ]
