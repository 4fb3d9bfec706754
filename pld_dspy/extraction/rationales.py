"""Rules from the explanations that came with the data: taken from them as they are, or rewritten by a teacher."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import dspy
import numpy as np

from pld_dspy.extraction.lessons import Lesson
from pld_dspy.rules import MicroRule
from pld_dspy.rules.wording import QUOTED_WORDS, flaw, leak, sound
from pld_dspy.teacher import Teacher

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


class _Source(NamedTuple):
    """A lesson, the beginning of its rule, and the sentences of its lecture and of the rest of its explanation."""

    lesson: Lesson
    condition: str
    texts: list[list[str]]


def from_rationales(lessons: Sequence[Lesson]) -> list[MicroRule]:
    """Take a rule from the explanation of each lesson, without a model: a lower bound, and a start that costs nothing.

    A rule is the kind of question, and those sentences of the explanation that are nearest to the question and its
    answer by the words they use (tf-idf), in their order. They are taken from the lecture, which is general; only where
    the lecture has none to give, from the rest of the explanation, without the sentences that hold the answer. Left out
    are sentences that name, number or quote what is the example's own, and those that need what is not there: the
    sentence before, or a drawing below. Where the data name no kind, the question's opening words stand for it, without
    names and numbers.

    Args:
        lessons: labelled examples. Those without an explanation, or without a kind and a question, give no rule.

    Returns:
        At most one rule for each lesson, in their order. Each one passes `wording.flaw` and `wording.leak`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    sources = [_Source(lesson, _condition(lesson), _texts(lesson)) for lesson in lessons]
    sources = [source for source in sources if source.condition and any(map(any, source.texts))]
    if not sources:
        return []
    known = dict.fromkeys(sentence for source in sources for text in source.texts for sentence in text)
    rows = {sentence: row for row, sentence in enumerate(known)}
    # Pieces of words, so that "attracts" is near to "attract"; those of function words are frequent and weigh little.
    vectoriser = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    sentences = vectoriser.fit_transform(rows)
    # The answer counts twice: it tells which term of several is in question.
    told = [(source.lesson.text, source.lesson.answer, source.lesson.kind) for source in sources]
    questions = vectoriser.transform(sound("\n".join(each)) for each in told)
    found = []
    for number, source in enumerate(sources):
        for text in filter(None, source.texts):
            likeness = (sentences[[rows[sentence] for sentence in text]] @ questions[number].T).toarray().ravel()
            if rule := _rule(source, text, likeness):
                found.append(MicroRule(predictor=source.lesson.predictor, example=source.lesson.id, rule=rule))
                break
    return found


def _rule(source: _Source, sentences: Sequence[str], likeness: np.ndarray) -> str:
    """The condition and the best sentences that make a rule with it; "" where not one does."""
    lesson, rule, chosen = source.lesson, "", set[int]()
    for place in np.argsort(-likeness, kind="stable"):
        if likeness[place] <= RELEVANT * likeness.max():
            break
        first = place
        while first and _GOES_ON.match(sentences[first]):
            first -= 1
        tried = chosen.union(range(first, place + 1))
        text = " ".join([source.condition, *(sentences[each] for each in sorted(tried))])
        whole = all(map(_stands, sentences[first : place + 1])) and not _GOES_ON.match(sentences[first])
        if whole and len(text.split()) <= WORDS and not flaw(text) and not leak(text, lesson.text, lesson.lecture):
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
            words = _WORD.findall(question[begins.start() :])
            plain = [word.casefold() if place == 0 else word for place, word in enumerate(words)]
            plain = [word for word in plain if word == word.casefold() and not any(map(str.isdigit, word))]
            condition = f'For questions like "{" ".join(plain[: QUOTED_WORDS - 1])}":'
            if len(plain) > 2 and not leak(condition, lesson.text):
                return condition
    return ""


def _texts(lesson: Lesson) -> list[list[str]]:
    """The sentences of the lecture and those of the rest; "" in the place of a sentence that holds the answer."""
    lecture, rest = sound(lesson.lecture), sound(lesson.rationale).replace(sound(lesson.lecture), "", 1)
    return [_sentences(lecture), ["" if _holds(each, lesson.answer) else each for each in _sentences(rest)]]


def _holds(text: str, answer: str) -> bool:
    """Whether a text has an answer's words in it."""
    words, wanted = (" ".join(_WORD.findall(sound(each).casefold())) for each in (text, answer))
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


class RewriteRationale(dspy.Signature):
    """You are a teacher. You get an explanation that came with questions of a small model's task: a lecture on what one
    has to know, or the solution of one question. You do not see the questions and their figures. Rewrite the
    explanation as ONE rule, a short check with which the small model answers questions of this kind at once, without
    thinking step by step.

    First say which part of the explanation decides the answer. If a right answer is given, it is the part about this
    answer, and what tells it from the other terms that the explanation names. Then write the rule:
    - It begins with how to recognise the kind of question ("If the question asks ...", "If the figure shows ...").
    - It names the one thing to check: which words in the text, or what to look at in the figure (which label, axis,
      colour, arrow, size, position, count).
    - It says what follows in each case, with the definitions that are needed to decide.
    - It says nothing that the explanation does not say, and leaves out what does not help to decide.
    - It stays true for other questions: no name, person, place, object, number or quotation of a single example, nor
      what happens to be the answer of one.
    - It holds one idea in one or two sentences, at most 50 words.
    - It never mentions the letter or the position of an option."""

    task: str = dspy.InputField(desc="what the small model is told to do")
    kind: str = dspy.InputField(desc="the kind of question, as the data name it; may be empty")
    rationale: str = dspy.InputField(desc="the explanation that came with the data")
    answer: str = dspy.InputField(desc="a right answer that the explanation is about; may be empty")
    refused: str = dspy.InputField(desc="a rule that you wrote before and why it cannot be used; empty at first")
    reasoning: str = dspy.OutputField(desc="which part of the explanation decides the answer, in one or two sentences")
    rule: str = dspy.OutputField(desc="one general rule: if ..., check ...: this means ..., that means ...")


REWRITTEN = dspy.Example(
    task="Answer the question about road traffic.",
    kind="signs and their meaning",
    rationale="Traffic signs were first put up for carriages. Today most countries use the same signs, so that drivers "
    "know them abroad. Signs differ in shape. An octagon means that you must stop. For example, Ahmed meets one at the "
    "railway crossing in Elm Street. A triangle that points down means that you must give way. A circle orders "
    "something.",
    answer="a triangle that points down",
    refused="If Ahmed meets a sign at a railway crossing, it is an octagon.\nCannot be used: the rule names Ahmed from "
    "its example.",
    reasoning="The shape of a sign decides what it means. A triangle that points down means to give way; an octagon "
    "and a circle mean something else.",
    rule="If the question asks for the sign with a given meaning, go by its shape: a triangle that points down means "
    "give way, an octagon means stop, a circle means an order.",
)


class Rewriting(dspy.Module):
    """Asks for a rule as `Teacher.extract` is asked, but shows the model nothing of the example itself."""

    def __init__(self) -> None:
        super().__init__()
        self.rewrite = dspy.Predict(RewriteRationale)
        self.rewrite.demos = [REWRITTEN]

    def forward(self, **lesson: Any) -> dspy.Prediction:
        """Rewrite an explanation; without one there is no rule, and no call.

        Args:
            **lesson: what `Teacher.extract` takes, and `kind`; what the signature has no field for is not shown.

        Returns:
            A prediction with `reasoning` and `rule`.
        """
        if not lesson["rationale"].strip():
            return dspy.Prediction(reasoning="", rule="")
        return self.rewrite(**{name: lesson.get(name, "") for name in self.rewrite.signature.input_fields})


class RationaleTeacher(Teacher):
    """A teacher that rewrites the explanations that came with the data, and sees neither questions nor figures.

    It costs less than `Teacher`, and shows what looking at the figures is worth. Examples that share a lecture share a
    prompt, which DSPy's cache answers. Examples without an explanation give no rule.
    """

    def __init__(self) -> None:
        super().__init__()
        self.extract = Rewriting()

    def given(self, lesson: Lesson) -> dict[str, Any]:
        """What `extract` is asked about a lesson.

        That is the lecture where there is one: it is general, while a solution is about this example. Next to a lecture
        the answer is left out where the lecture does not speak of it, since it says nothing then and sets examples
        apart that could share a reply.
        """
        told = not lesson.lecture or _holds(lesson.lecture, lesson.answer)
        return {
            "task": lesson.task,
            "kind": lesson.kind,
            "rationale": lesson.lecture or lesson.rationale,
            "answer": lesson.answer if told else "",
        }
