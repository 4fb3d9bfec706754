"""ScienceQA in its official layout (Lu et al., NeurIPS 2022, arXiv:2209.09513)."""

from pathlib import Path
from typing import Any

import dspy

from pld_dspy.datasets.files import Modality, choose, read_image, read_json
from pld_dspy.errors import PLDError

LETTERS = "ABCDEFGH"


def load_scienceqa(
    folder: Path, split: str, *, limit: int | None = None, seed: int = 0, modality: Modality = "image"
) -> list[dspy.Example]:
    """Load one split.

    Args:
        folder: holds problems.json, pid_splits.json, captions.json (for `modality="caption"`) and images/SPLIT/PID/.
        split: a name in pid_splits.json.
        limit: at most so many examples, drawn at random; None for all.
        seed: of that draw.
        modality: "image" gives the picture; "caption" puts its caption at the end of the context, for models without
            eyes; "text" gives neither.

    Returns:
        Examples with the inputs question, choices, context, image, and with pid, answer (a letter), subject, topic,
        grade, skill, lecture and solution.

    Raises:
        PLDError: the folder is not in the layout, or lacks a split, a problem or an image that it names.
    """
    problems = read_json(folder / "problems.json", "ScienceQA")
    splits = read_json(folder / "pid_splits.json", "ScienceQA")
    if not isinstance(splits.get(split), list):
        raise PLDError(f"{folder} has no split {split!r}; it has {', '.join(splits)}.")
    captions = read_json(folder / "captions.json", "ScienceQA") if modality == "caption" else {}
    captions = captions.get("captions", captions)
    chosen = choose([str(pid) for pid in splits[split]], limit, seed)
    return [_example(folder, pid, problems.get(pid), captions, modality) for pid in chosen]


def _example(folder: Path, pid: str, problem: Any, captions: dict[str, str], modality: Modality) -> dspy.Example:
    try:
        choices = [str(choice) for choice in problem["choices"]]
        answer = LETTERS[range(len(choices))[problem["answer"]]]
        question, picture = str(problem["question"]), problem.get("image")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise PLDError(f"{folder / 'problems.json'}: problem {pid} is missing or incomplete ({error!r}).") from error
    context = str(problem.get("hint") or "")
    if modality == "caption" and picture and captions.get(pid):
        context = f"{context}\nThe picture shows: {captions[pid]}".strip()
    image = None
    if modality == "image" and picture:
        image = read_image(folder / "images", str(problem["split"]), pid, str(picture), example=pid)
    return dspy.Example(
        pid=pid,
        question=question,
        choices=choices,
        context=context,
        image=image,
        answer=answer,
        **{
            name: str(problem.get(name) or "") for name in ("subject", "topic", "grade", "skill", "lecture", "solution")
        },
    ).with_inputs("question", "choices", "context", "image")
