"""Rules out of sentences of the explanations that came with the data, without a model."""

import re
from collections.abc import Sequence

import numpy as np

from pld_dspy.extraction.lessons import Lesson
from pld_dspy.rules import MicroRule
from pld_dspy.rules.wording import QUOTED_WORDS, flaw, leak, sound

WORDS = 60  # of a rule at most, its condition included
RELEVANT = 0.1  # of the best sentence's likeness to the question; sentences with less only cost tokens
TITLE_WORDS = 6  # a line with fewer words and no full stop is a heading or a title

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_ASKS = re.compile(r"\b(?:what|which|who|whom|whose|when|where|why|how|is|are|was|were|does|do|did|can|will)\b", re.I)
_QUESTION = re.compile(r"[^.?!\n]*\?")
_BULLET = re.compile(r"\s*(?:[-*•–]|\d{1,2}[.)])\s+")
_HEADING = re.compile(r"\s*(?:#+|>)\s+")
_MARKED = re.compile(r"(\*{1,3}|`+|\${1,2})(?=\S)(.+?)(?<=\S)\1")
_END = re.compile(r"[.!?:;][\"”’')\]]*$")
_STOP = re.compile(
    r"(?:(?<=[.!?])|(?<=[.!?][\"”’')]))(?<!\bMr\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bMrs\.)(?<!\b[A-Z]\.)\s+"
    r"(?=[\"“‘'(]?[A-Z0-9])"
)
_GOES_ON = re.compile(
    r"(?:it|its|this|these|those|that|they|their|them|then|so|and|or|but|also|however|instead|otherwise|others?|such|"
    r"he|she|his|her|both|for example|for instance|in fact|in this|as a result|because of this)\b",
    re.I,
)
# No statement by itself: a part of one, a question, a word on what stands elsewhere, a sentence as an example of one.
_UNFIT = re.compile(
    r"^[a-z]|[?:;]$|\b(?:[Bb]elow|underlined|the following|[Ii]magin(?:e|ing)|(?:described|shown|model|usage) above|I|"
    r"[Ww]e|[Mm]y|[Oo]ur|us)\b"
)


def from_rationales(lessons: Sequence[Lesson]) -> list[MicroRule]:
    """Take a rule from the explanation of each lesson, without a model: a lower bound, and a start that costs nothing.

    A rule is the kind of question (or its opening words, where the data name none), and those sentences of the
    explanation that are nearest to the question and its answer by tf-idf, in their order. They are taken from the
    lecture, which is general; where it has none to give, from the rest, without the sentences that hold the answer.
    Left out are sentences with what is the example's own, and those that need what is not there.

    Args:
        lessons: labelled examples. Those without an explanation, or without a kind and a question, give no rule.

    Returns:
        At most one rule for each lesson, in their order. Each one passes `wording.flaw` and `wording.leak`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    explained = [(lesson, _condition(lesson), _texts(lesson)) for lesson in lessons]
    explained = [part for part in explained if part[1] and any(map(any, part[2]))]
    if not explained:
        return []
    known = dict.fromkeys(sentence for _, _, texts in explained for text in texts for sentence in text)
    rows = {sentence: row for row, sentence in enumerate(known)}
    # Pieces of words, so that "attracts" is near to "attract"; those of function words are frequent and weigh little.
    vectoriser = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    sentences = vectoriser.fit_transform(rows)
    rules = []
    for lesson, condition, texts in explained:
        # The answer counts twice: it tells which term of several is in question.
        question = vectoriser.transform([sound(f"{lesson.text}\n{lesson.answer}\n{lesson.kind}")])
        for text in filter(None, texts):
            likeness = (sentences[[rows[sentence] for sentence in text]] @ question.T).toarray().ravel()
            if rule := _rule(lesson, condition, text, likeness):
                rules.append(MicroRule(predictor=lesson.predictor, example=lesson.id, rule=rule))
                break
    return rules


def _rule(lesson: Lesson, condition: str, sentences: Sequence[str], likeness: np.ndarray) -> str:
    """The condition and the best sentences that make a rule with it; "" where not one does."""
    rule, chosen = "", set[int]()
    for place in np.argsort(-likeness, kind="stable"):
        if likeness[place] <= RELEVANT * likeness.max():
            break
        first = place
        while first and _GOES_ON.match(sentences[first]):
            first -= 1
        tried = chosen.union(range(first, place + 1))
        text = " ".join([condition, *(sentences[number] for number in sorted(tried))])
        whole = all(map(_stands, sentences[first : place + 1])) and not _GOES_ON.match(sentences[first])
        if (
            whole
            and len(text.split()) <= WORDS
            and not flaw(text, lesson.options)
            and not leak(text, lesson.text, lesson.lecture)
        ):
            rule, chosen = text, tried
    return rule


def _condition(lesson: Lesson) -> str:
    """When a rule from the lesson applies: the kind of question, else how the question begins; "" for neither."""
    if kind := " ".join(sound(lesson.kind).replace('"', "'").split()):
        kind = re.sub(r"^[A-Z](?=[a-z])", lambda first: first[0].lower(), kind)  # capitals inside a sentence are names
        condition = f'For questions about "{kind}":'
        if not leak(condition, lesson.text, lesson.lecture):
            return condition
    for question in _QUESTION.findall(sound(lesson.text)):
        if begins := _ASKS.search(question):
            first, *words = _WORD.findall(question[begins.start() :])
            plain = [first.casefold(), *(word for word in words if word == word.casefold())]
            plain = [word for word in plain if not any(map(str.isdigit, word))]
            condition = f'For questions like "{" ".join(plain[: QUOTED_WORDS - 1])}":'
            if len(plain) > 2 and not leak(condition, lesson.text):
                return condition
    return ""


def _texts(lesson: Lesson) -> list[list[str]]:
    """The sentences of the lecture and those of the rest; "" in the place of a sentence that holds the answer."""
    lecture = sound(lesson.lecture)
    rest = _sentences(sound(lesson.rationale).replace(lecture, "", 1))
    return [_sentences(lecture), ["" if mentions(sentence, lesson.answer) else sentence for sentence in rest]]


def mentions(text: str, answer: str) -> bool:
    """Whether a text has an answer's words in it."""
    words, wanted = (" ".join(_WORD.findall(sound(part).casefold())) for part in (text, answer))
    return bool(wanted) and f" {wanted} " in f" {words} "


def _sentences(text: str) -> list[str]:
    """The sentences of a text with line breaks, bullets, headings, tables and marked words."""
    lines: list[tuple[str, bool]] = []  # and whether it is an item of a list or table
    in_table = False
    for line in text.splitlines():
        header, in_table = not in_table, " | " in line or line.lstrip().startswith("|")
        if in_table:  # two columns are a term and what it means; more need the header
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            line = "" if header or len(cells) != 2 else f"- {cells[0]}: {cells[1]}"
        item = bool(_BULLET.match(line))
        line = " ".join(_MARKED.sub(r"\2", _HEADING.sub("", _BULLET.sub("", line, count=1), count=1)).split())
        if lines and line[:1].islower() and not item and not _END.search(lines[-1][0]):  # a wrapped line
            line, item = f"{lines[-1][0]} {line}", lines.pop()[1]
        lines.append((line, item))
    kept = [line for line, item in lines if item or _END.search(line) or len(line.split()) >= TITLE_WORDS]
    ended = (line if _END.search(line) else f"{line}." for line in kept)
    return [sentence for line in ended for sentence in _STOP.split(line) if _WORD.search(sentence)]


def _stands(sentence: str) -> bool:
    return len(_WORD.findall(sentence)) > 3 and not _UNFIT.search(sentence)
