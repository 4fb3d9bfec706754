"""What makes a text unusable as a general rule."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from typing import Annotated

from pydantic import AfterValidator

MAX_WORDS = 90
QUOTED_WORDS = 7  # as many words of an example in a row are a quotation
STEM = 3  # unless they are in as many examples
_WORD = re.compile(r"\w+(?:['’]\w+)?")
# Signs of scripts that put no spaces between words: Thai to Khmer, kana, Han. Two of them are about a word.
_SIGNS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u9fff]+")
_OPTION_LETTER = re.compile(
    r"\((?-i:[A-H])\)|\b(?:option|choice|letter|answer(?: is)?:?) ?[\"']?(?-i:[A-H])\b", re.IGNORECASE
)
_NUMBER = re.compile(r"\b\d[\d.,]*\d\b|\b[4-9]\b")  # small numbers are as often general knowledge
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][a-z]+\b")  # capitalised inside a sentence
_NAME_OF_DATA = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+\b")  # where a colon stands behind a field's name


def sound(text: str) -> str:
    """A text without what no file or request can hold: a model's JSON may have halves of characters in it."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")


def _one_line(text: str) -> str:
    if line := " ".join(text.split()):
        return line
    raise ValueError("a rule needs a text")


Text = Annotated[str, AfterValidator(sound)]  # that a model wrote
# A rule is a line of a prompt, so line breaks in what a model or a person wrote become spaces.
RuleText = Annotated[Text, AfterValidator(_one_line)]


def flaw(rule: str, options: bool = False) -> str | None:
    """What makes a text no rule, in any language, or None: it is a fragment or a treatise, or names an option.

    Args:
        rule: its text.
        options: whether the questions have options with letters, which say nothing in general.
    """
    signs = sum(map(len, _SIGNS.findall(rule)))
    words = len(_WORD.findall(_SIGNS.sub(" ", rule))) + signs / 2
    if words < (3 if signs else 4):
        return "the rule is empty or a fragment"
    if words > MAX_WORDS:
        return f"the rule has more than {MAX_WORDS} words"
    if options and _OPTION_LETTER.search(rule):
        return "the rule names an option by its letter"
    return None


def leak(rule: str, example: str, general: str = "", stems: Set[str] = frozenset()) -> str | None:
    """What a rule took over from its example that is no general knowledge, or None: a quotation, a name or a number.

    Args:
        rule: its text.
        example: the inputs of the example, and of others that must not be quoted.
        general: names and numbers in this text may be used.
        stems: words that are no quotation, as `common_stems` finds them.
    """
    if quoted := quotation(rule, example, stems=stems):
        return f"the rule quotes an example: {quoted!r}"
    own = set(_WORD.findall(example)) - set(_WORD.findall(general))
    names = set(_NAME.findall(rule)) | set(_WORD.findall(rule)) & set(_NAME_OF_DATA.findall(example))
    names = {name for name in names if name.casefold() not in own}  # which is also a word, as at the start of a line
    for kind, words in (("names", names), ("has the number", set(_NUMBER.findall(rule)))):
        if taken := own & words:
            return f"the rule {kind} {', '.join(sorted(taken))} from its example"
    return None


def quotation(rule: str, text: str, n: int = QUOTED_WORDS, stems: Set[str] = frozenset()) -> str | None:
    """The first words of a text that a rule repeats, n in a row, or None; `stems` may be repeated."""
    there = {*_spans(text, n)} - stems
    return next((span for span in _spans(rule, n) if span in there), None)


def common_stems(texts: Iterable[str], n: int = QUOTED_WORDS) -> frozenset[str]:
    """Words in a row that are in so many texts that they quote none of them, as the beginning of a kind of question."""
    counts = Counter(span for text in texts for span in {*_spans(text, n)})
    return frozenset(span for span, times in counts.items() if times >= STEM)


def _spans(text: str, n: int) -> Iterator[str]:
    """All n words in a row of a text, and all 2 n signs of a script without spaces."""
    words = _WORD.findall(text.casefold())
    yield from (" ".join(words[start : start + n]) for start in range(len(words) - n + 1))
    for signs in _SIGNS.findall(text):
        yield from (signs[start : start + 2 * n] for start in range(len(signs) - 2 * n + 1))
