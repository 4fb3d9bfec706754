import pytest

from pld_dspy.rules.wording import common_stems, flaw, leak, quotation

EXAMPLE = (
    "question: Which tense does the sentence that Mona wrote in 1998 use?\nnote: Past or the other past\n"
    "choices:\npast\nfuture\nFiji\nNewton\n7"
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
        ("If a sentence has a verb, then choose a tense.", None),
        ("A sentence with the word will is always in the future tense.", None),
        ("Given a sentence with will, choose the future tense.", None),
        ("In questions about tense, look at the verb first.", None),
        ("1. If a sentence has will in it, choose future tense.", None),
        ("Wenn im Satz ein Verb mit 'werden' steht, dann ist es Zukunft.", None),
        ("Si la phrase contient « demain », choisissez le futur.", None),
        ("如果句子里有“明天”,就选将来时。", None),
        ("文に「明日」があれば、未来形を選ぶ。", None),
        ("내일이라는 말이 있으면 미래 시제를 고르세요.", None),
        ("Если в предложении есть «завтра», выберите будущее время.", None),
        ("ถ้ามีคำว่าพรุ่งนี้ให้เลือกอนาคต", None),
        ("将来时。", "fragment"),
        ("如果句子里有明天就选将来时。" * 20, "more than"),
    ],
)
@pytest.mark.parametrize("options", [False, True])
def test_flaw(rule, options, problem):
    found = flaw(rule, options)
    assert (found is None) if problem is None else (problem in found)


@pytest.mark.parametrize(
    "rule",
    [
        "If the question asks for a tense, then choose option B at once.",
        "If the question asks for a tense, then (B) is the one to take.",
        "If the question asks for a tense, the answer is A in most cases.",
        "Wenn nach der Zeit gefragt wird, dann ist es immer (C).",
    ],
)
def test_a_letter_is_a_flaw_where_there_are_options(rule):
    assert "option by its letter" in flaw(rule, options=True)
    assert flaw(rule) is None, "vitamin (B), or an option B of a contract"


def test_the_stem_of_a_kind_of_question_is_no_quotation():
    stem = "Which of these greetings is written correctly for the opening of a letter"
    questions = [f"{stem}?\nchoices:\nDear {name},\ndear {name}" for name in ("Mona", "Ravi", "Lena")]
    rule = f"If it is asked {stem.lower()}, take the one with capitals."
    assert "quotes" in leak(rule, questions[0])
    assert leak(rule, questions[0], stems=common_stems(questions)) is None
    assert "quotes" in leak(rule, questions[0], stems=common_stems(questions[:2])), "of two questions only"


def test_quotations_of_scripts_without_spaces_are_found():
    question = "问题:小明明天要去北京看他的老朋友,这句话是什么时态?"
    assert quotation("如果小明明天要去北京看他的老朋友就选将来时", question)
    assert quotation("如果句子里有“明天”这样的词,就选将来时。", question) is None


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("If the question asks for days, think of Newton and the 7 days of a week.", None),
        ("If it says which tense does the sentence that mona wrote use, look for will.", "quotes"),
        ("If the sentence that is given, like Mona wrote it, has will, choose future.", "Mona"),
        ("If the sentence has will in it, take future. Mona used will.", "Mona"),
        ("If the question asks for a place, look at the map: Fiji is the right one.", "Fiji"),
        ("Which tense it is depends on the verb: Past forms end in ed, mostly.", None),
        ("If the sentence is older than 1998 then its verb has a past form.", "1998"),
    ],
)
def test_leak(rule, problem):
    found = leak(rule, EXAMPLE, LECTURE)
    assert (found is None) if problem is None else (problem in found)
