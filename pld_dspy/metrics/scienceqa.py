"""ScienceQA: accuracy of the chosen letter, and the benchmark's table (Lu et al., NeurIPS 2022, arXiv:2209.09513)."""

import re
from collections.abc import Mapping, Sequence

import dspy

from pld_dspy.metrics.breakdown import Breakdown, break_down
from pld_dspy.student.evaluation import OUTPUT_CHARACTERS, Evaluation, Scored

LETTERS = "ABCDEFGH"
SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
GROUPS = ("NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12")  # as the papers head their columns
_ANSWER_IS = re.compile(r"^(?:the )?(?:correct |right )?answer(?: is)?:? *", re.IGNORECASE)
_ONLY_LETTER = re.compile(r"\W*([A-H])\W*", re.IGNORECASE)
_MARKED_LETTER = re.compile(r"\(([A-H])\)|\banswer(?: is)?:? *\(?([A-H])\b|^\W*([A-H])[.):]\s")


def parse_letter(text: str, choices: Sequence[str]) -> str | None:
    """The letter that an answer names, or None where it names none or no single one.

    A lone letter, "(B)", "B) ...", "The answer is B" and the text of a choice count; the letter must be one of the
    choices'.

    >>> parse_letter("The answer is (B).", ["north", "south"])
    'B'
    """
    letters, text = LETTERS[: len(choices)], text[:OUTPUT_CHARACTERS].strip()
    spoken = _ANSWER_IS.sub("", text).strip(" .\"'").casefold()
    sayings = [choice.casefold().strip(" .\"'") for choice in choices]
    named = {letter for letter, saying in zip(letters, sayings, strict=False) if spoken == saying != ""}
    if match := _ONLY_LETTER.fullmatch(text):
        named = {match.group(1).upper()}
    elif not named:
        named = {letter for groups in _MARKED_LETTER.findall(text) for letter in groups if letter}
    return named.pop() if len(named) == 1 and named <= set(letters) else None


def scienceqa_breakdown(
    examples: Sequence[dspy.Example], items: Sequence[Scored], more: Mapping[str, Sequence[float]] | None = None
) -> Breakdown:
    """The official table of results: accuracy by subject, by context and by grade, with further measures by name.

    As in the benchmark's own evaluation, a question with a hint and an image counts under text and under image, and one
    with neither under no context. A question whose subject or grade is not known counts in no such group. Answers that
    cannot be parsed count as wrong; their share is a measure of its own. Macro-F1 is over the letters of the right
    answers, as Badhe & Shah (arXiv:2602.21103) report it for their tasks.
    """
    from sklearn.metrics import f1_score

    replies = [item.outputs.get("answer", "") for item in items]
    letters = [parse_letter(reply, example.choices) or "none" for example, reply in zip(examples, replies, strict=True)]
    gold = [example.answer for example in examples]
    columns = {
        "accuracy": Evaluation(items=list(items)).scores,
        "unparseable": [float(letter == "none") for letter in letters],
        **(more or {}),
    }
    macro = f1_score(gold, letters, labels=sorted(set(gold)), average="macro", zero_division=0)
    return break_down(GROUPS, [_groups(example) for example in examples], columns, "Avg", {"macro-F1": float(macro)})


def _groups(example: dspy.Example) -> set[str]:
    groups = {
        SUBJECTS.get(example.subject, ""),
        "TXT" if example.context else "",
        "IMG" if example.pictured else "",
        "NO" if not example.context and not example.pictured else "",
    }
    if match := re.fullmatch(r"grade(\d+)", example.grade):
        groups.add("G1-6" if int(match.group(1)) <= 6 else "G7-12")
    return groups
