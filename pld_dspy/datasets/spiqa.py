"""SPIQA in its official layout (Pramanick et al., NeurIPS 2024, arXiv:2407.09413): train, val and test-A."""

from pathlib import Path
from typing import Any

import dspy

from pld_dspy.datasets.files import Modality, choose, read_image, read_json
from pld_dspy.errors import PLDError

# split: the questions, and the folder that has a folder of figures for each paper
SPLITS = {
    "train": ("train_val/SPIQA_train.json", "train_val/SPIQA_train_val_Images"),
    "val": ("train_val/SPIQA_val.json", "train_val/SPIQA_train_val_Images"),
    "test": ("test-A/SPIQA_testA.json", "test-A/SPIQA_testA_Images"),
}


def load_spiqa(
    folder: Path, split: str, *, limit: int | None = None, seed: int = 0, modality: Modality = "image"
) -> list[dspy.Example]:
    """Load one split.

    Args:
        folder: holds train_val/ and test-A/.
        split: "train", "val", or "test" for test-A.
        limit: at most so many questions, drawn at random; None for all.
        seed: of that draw.
        modality: "image" gives figures and captions; "caption" the captions only; "text" neither.

    Returns:
        Examples with the inputs question, figures, captions, and with question_id, answer, explanation, paper and
        reference (the name of the figure that answers the question).

    Raises:
        PLDError: the folder is not in the layout, or lacks a split or a figure that it names.
    """
    if split not in SPLITS:
        raise PLDError(f"SPIQA has no split {split!r} here; it has {', '.join(SPLITS)}.")
    questions, images = SPLITS[split]
    papers = read_json(folder / questions, "SPIQA")
    try:
        asked = [(paper, number) for paper, content in papers.items() for number in range(len(content["qa"]))]
    except (KeyError, TypeError) as error:
        raise PLDError(f"{folder / questions} is not in the SPIQA layout: a paper has no list 'qa'.") from error
    chosen = choose(asked, limit, seed)
    return [_example(folder, images, paper, number, papers[paper], modality) for paper, number in chosen]


def _example(folder: Path, images: str, paper: str, number: int, content: Any, modality: Modality) -> dspy.Example:
    id = f"{paper}/{number}"
    try:
        asked, described = content["qa"][number], content["all_figures"]
        question, answer, reference = (str(asked[name]).strip() for name in ("question", "answer", "reference"))
        captions = [str(figure["caption"]) for figure in described.values()]
    except (KeyError, TypeError, AttributeError) as error:
        raise PLDError(f"Question {id} of SPIQA is incomplete ({error!r}).") from error
    figures = []
    if modality == "image":
        figures = [read_image(folder / images, paper, str(name), example=id) for name in described]
    return dspy.Example(
        question_id=id,
        paper=paper,
        question=question,
        figures=figures,
        captions=captions if modality != "text" else [],
        answer=answer,
        explanation=str(asked.get("explanation") or "").strip(),
        reference=reference,
    ).with_inputs("question", "figures", "captions")
