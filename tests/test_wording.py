import pytest

from pld_dspy.rules.wording import flaw, leak

EXAMPLE = (
    "question: Which tense does the sentence that Mona wrote in 1998 use?\nchoices:\npast\nfuture\nFiji\nNewton\n7"
)
LECTURE = "Verbs with will are future. A week has 7 days, says Newton."


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("If the question asks for the tense of a sentence, look for 'will': with it the tense is future.", None),
        ("To tell living things from others, ask whether they grow.", None),
        ("", "empty"),
        ("Future tense.", "fragment"),
        ("If this is so then check that. " * 20, "more than"),
        ("If the question asks for a tense, then choose option B at once.", "letter"),
        ("If the question asks for a tense, then (B) is the one to take.", "letter"),
        ("If the question asks for a tense, the answer is A in most cases.", "letter"),
        ("If a sentence has a verb, then choose a tense.", None),
        ("If a sentence has will in it, as in this example, choose future tense.", "in this example"),
        ("A sentence with the word will is always in the future tense.", "does not say when"),
    ],
)
def test_flaw(rule, problem):
    found = flaw(rule)
    assert (found is None) if problem is None else (problem in found)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("If the question asks for days, think of Newton and the 7 days of a week.", None),
        ("If it says which tense does the sentence that mona wrote use, look for will.", "quotes"),
        ("If the sentence that is given, like Mona wrote it, has will, choose future.", "Mona"),
        ("If the sentence has will in it, take future. Mona used will.", "Mona"),
        ("If the question asks for a place, look at the map: Fiji is the right one.", "Fiji"),
        ("If the sentence is older than 1998 then its verb has a past form.", "1998"),
    ],
)
def test_leak(rule, problem):
    found = leak(rule, EXAMPLE, LECTURE)
    assert (found is None) if problem is None else (problem in found)
