"""Where SPIQA's splits are, and their three shapes as one (Pramanick et al., NeurIPS 2024, arXiv:2407.09413)."""

from collections.abc import Callable
from typing import Any, NamedTuple

TEXTS = "SPIQA_train_val_test-A_extracted_paragraphs"
KINDS = ("table", "plot", "schematic", "photograph")
Row = dict[str, Any]


class Listed(NamedTuple):
    """A figure or table of a paper."""

    caption: str
    kind: str


class Question(NamedTuple):
    """A question and its paper, in the same shape for every split."""

    question: str
    answer: str
    explanation: str
    referred: list[str]  # names of the figures that answer it
    figures: dict[str, Listed]  # all of the paper, by name
    folder: str  # of the figures, in the split's
    passages: str | None  # None where the paper's text is in a file of its own


class Split(NamedTuple):
    """Where a split is, and how it is read; `rows` and `read` raise what a wrong shape makes Python raise."""

    questions: str
    images: str  # a folder; on the hub an archive of it
    texts: str  # another, with the papers' texts; "" where these are among the questions
    columns: tuple[str, ...]  # the lists of a paper that have its questions; none where each is an object
    read: Callable[[str, Row, Row], Question]  # from the paper's id, the paper and a question

    def rows(self, content: Row) -> list[tuple[str, Row]]:
        """A paper's questions, each with a key."""
        if not self.columns:
            return [(str(number), row) for number, row in enumerate(_list(content["qa"]))]
        columns = [_list(content[name]) for name in self.columns]
        if len({len(column) for column in columns}) > 1:
            raise ValueError(f"the lists {', '.join(self.columns)} have different lengths")
        rows = [dict(zip(self.columns, values, strict=True)) for values in zip(*columns, strict=True)]
        return [(str(row["question_key"]), row) for row in rows]


def _read_test_a(paper: str, content: Row, row: Row) -> Question:
    """And those of train and val."""
    return Question(
        question=_text(row["question"]),
        answer=_text(row["answer"]),
        explanation=_text(row.get("explanation") or ""),
        referred=[_text(row["reference"])],
        figures={
            name: Listed(_text(figure["caption"]), _kind(figure.get("figure_type"), f"{figure['content_type']} {name}"))
            for name, figure in content["all_figures"].items()
        },
        folder=paper,
        passages=None,
    )


def _read_test_b(paper: str, content: Row, row: Row) -> Question:
    kinds = content["figure_types"]
    figures = {
        name: Listed(_text(caption), _kind(kinds.get(name), name))
        for name, caption in content["all_figures_tables"].items()
    }
    return Question(
        question=_text(row["question"]),
        answer=_text(row["composition"]),
        explanation=_joined([piece["rationale"] for piece in _list(row["evidential_info"])], "\n"),
        referred=_names(row["referred_figures_tables"]),
        figures=figures,
        folder="",
        passages=_joined(content["passages"]) if "passages" in content else None,
    )


def _read_test_c(paper: str, content: Row, row: Row) -> Question:
    figures = {}
    for figure in _list(content["figures_and_tables"]):
        name, caption = _text(figure["file"]), _text(figure["caption"])
        figures[name] = Listed(caption, _kind(None, f"{name} {caption[:5]}"))
    answer, yes = _text(row["answer"].get("free_form_answer") or ""), row["answer"].get("yes_no")
    if not answer and not isinstance(yes, bool):
        raise ValueError("the answer is neither a text nor yes or no")
    passages = content.get("passages")
    if passages is None and "full_text" in content:
        sections = _list(content["full_text"])
        passages = [_joined([section["section_name"] or "", *section["paragraphs"]], "\n") for section in sections]
    return Question(
        question=_text(row["question"]),
        answer=answer or ("Yes" if yes else "No"),
        explanation="",
        referred=_names(row["referred_figures_tables"]),
        figures=figures,
        folder=_text(content["arxiv_id"]),
        passages=None if passages is None else _joined(passages),
    )


def _text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"there should be a text, not {value!r}")
    return value.strip()


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"there should be a list, not {value!r}")
    return value


def _joined(texts: Any, separator: str = "\n\n") -> str:
    return separator.join(map(_text, _list(texts)))


def _names(value: Any) -> list[str]:
    return list(dict.fromkeys(map(_text, _list(value))))


def _kind(given: Any, hints: str) -> str:
    """One of `KINDS`, or "other": what is given is written in many ways, and tables often have no type."""
    kinds = [kind for kind in KINDS if kind in str(given).lower()]
    return [*kinds, "table" if "table" in hints.lower() else "other"][0]


_COMMON = ("question", "question_key", "referred_figures_tables")
_COLUMNS_B, _COLUMNS_C = (*_COMMON, "composition", "evidential_info"), (*_COMMON, "answer")
_TRAIN_VAL = "train_val/SPIQA_train_val_Images"
SPLITS = {
    "train": Split("train_val/SPIQA_train.json", _TRAIN_VAL, TEXTS, (), _read_test_a),
    "val": Split("train_val/SPIQA_val.json", _TRAIN_VAL, TEXTS, (), _read_test_a),
    "test-A": Split("test-A/SPIQA_testA.json", "test-A/SPIQA_testA_Images", TEXTS, (), _read_test_a),
    "test-B": Split("test-B/SPIQA_testB.json", "test-B/SPIQA_testB_Images", "", _COLUMNS_B, _read_test_b),
    "test-C": Split("test-C/SPIQA_testC.json", "test-C/SPIQA_testC_Images", "", _COLUMNS_C, _read_test_c),
}
SPLITS["test"] = SPLITS["test-A"]
