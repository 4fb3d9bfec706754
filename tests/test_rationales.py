import base64
import io

import dspy
import pytest
from fakes import FakeContext
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from scripted import scripted

from pld_dspy.datasets import load
from pld_dspy.errors import PLDError
from pld_dspy.extraction import Examples, Rationales, RewrittenRationales, Source, extract
from pld_dspy.extraction.lessons import Lesson, lesson
from pld_dspy.extraction.rationales import WORDS, from_rationales
from pld_dspy.programs import ScienceQA
from pld_dspy.rules.wording import flaw, leak
from pld_dspy.teacher import REWRITTEN

TENSES = (
    "Verbs tell when something happens. Present tense verbs tell about now. Past tense verbs tell what already "
    "happened. Future tense verbs use the word will."
)
GOOD = "If the question asks for the tense of a sentence, look for 'will': with it the tense is future."


def one(
    text: str = "question: Which tense does Mona's sentence use?",
    answer: str = "future tense",
    lecture: str = "",
    solution: str = "",
    kind: str = "verb tenses",
    id: str = "1",
    options: bool = False,
) -> Lesson:
    rationale = "\n".join(filter(None, (lecture, solution)))
    return Lesson("self", id, "Answer.", text, [], answer, rationale, lecture, kind, options)


def ruled(**of_lesson) -> str | None:
    found = from_rationales([one(**of_lesson)])
    return found[0].rule if found else None


def test_a_short_lecture_is_the_rule_for_its_kind_of_question():
    rule = from_rationales([one(lecture=TENSES, solution="Mona's sentence says will.")])[0]
    assert rule.rule == f'For questions about "verb tenses": {TENSES}'
    assert (rule.predictor, rule.example, rule.author) == ("self", "1", "")


def test_of_a_long_lecture_the_sentences_about_the_question_and_the_answer_are_kept_in_their_order():
    filler = [f"{word} are a part of speech that stands somewhere else." for word in ("Nouns", "Articles", "Adverbs")]
    lecture = " ".join(
        [filler[0], "Past tense verbs often end in ed.", *filler, "Future tense verbs use will.", *filler]
    )
    rule = ruled(lecture=lecture * 3)
    assert rule.index("Past tense verbs often end in ed.") < rule.index("Future tense verbs use will.")
    assert len(rule.split()) <= WORDS


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("Mona uses the future tense verb will.", "a name"),
        ("A tense verb is used by 250 people.", "a number"),
        ("The tense verb is the one in (B) here.", "an option's letter"),
        ("What tense of verb is it then?", "a question"),
        ("The tenses of verbs are the following:", "a beginning"),
        ("The table below has the tense of the verb.", "a drawing"),
        ("I know the tense of my verb.", "an example of a sentence"),
        ("It is the tense of the verb.", "a pronoun without its sentence"),
        ("Tense verb.", "a fragment"),
    ],
)
def test_sentences_that_are_no_general_statement_are_left_out(sentence, why):
    text = "question: Which tense has the verb that Mona wrote to 250 people?"
    there = "Verbs of any tense say when."
    kept = ruled(text=text, solution=f"{sentence}\n{there}", answer="past", options=True)
    assert kept == f'For questions about "verb tenses": {there}', why
    assert ruled(text=text, solution=sentence, answer="past", options=True) is None, why


def test_a_pronoun_brings_the_sentence_that_it_stands_for():
    rule = ruled(lecture="Guide words stand on each page. They tell the future tense.", text="question: future tense?")
    assert rule.endswith("Guide words stand on each page. They tell the future tense.")
    assert ruled(lecture="Mona has guide words. They tell the future tense.", text="question: Which, Mona?") is not None
    assert ruled(solution="Mona has guide words. They tell the future tense.", text="question: Does Mona?") is None


def test_the_answer_may_be_in_the_lecture_but_not_in_the_solution():
    says = "Verbs with will are in the future tense."
    assert ruled(lecture=says).endswith(says)
    assert ruled(solution=says) is None
    assert ruled(solution=f"{says} Verbs in -ed are past.").endswith(": Verbs in -ed are past.")


def test_the_solution_gives_the_rule_where_the_lecture_has_none_to_give():
    assert ruled(lecture="Which verb?", solution="Verbs in -ed are past.").endswith("Verbs in -ed are past.")


def test_markup_is_read_as_text():
    lecture = (
        "## Tenses of verbs\n\n- **Past** tense verbs end in `ed`\n- $Present$ verbs\n  say what is now.\n\n"
        "Tense | Meaning\n--- | ---\nfuture tense | a verb with will\n\n| a | b | c |\n1. Dr. Lee says so of the tense."
    )
    assert ruled(lecture=lecture) == (
        'For questions about "verb tenses": Past tense verbs end in ed. Present verbs say what is now. '
        "Dr. Lee says so of the tense."
    )
    table = "Tense | Meaning\nA future tense | has a verb with will"
    assert ruled(lecture=table).endswith(": A future tense: has a verb with will.")


def test_without_a_kind_the_questions_opening_words_stand_for_it():
    text = "context: 17 boys.\nquestion: Select it. Which tense of 250 does Mona see in the long sentence here?"
    assert ruled(text=text, lecture=TENSES, kind="").startswith(
        'For questions like "which tense of does see in": Verbs tell when'
    )
    assert ruled(text="question: Select it.", lecture=TENSES, kind="") is None


def test_a_kind_that_repeats_the_question_is_not_quoted():
    asked = "Is the sentence in the past, present or future tense?"
    rule = ruled(text=f"question: {asked}", kind=asked, lecture=TENSES)
    assert rule.startswith('For questions like "is the sentence in the past":')


def test_a_capital_at_the_beginning_of_a_kind_makes_no_name_of_it():
    assert ruled(kind="Which tense?", lecture=TENSES).startswith('For questions about "which tense?": ')
    assert ruled(kind='DNA "bases"', lecture=TENSES).startswith("For questions about \"DNA 'bases'\": ")


def test_nothing_to_take_a_rule_from():
    assert from_rationales([]) == []
    assert from_rationales([one()]) == []
    assert from_rationales([one(solution="future tense"), one(solution="?"), one(lecture="...")]) == []


def test_every_lesson_of_the_sample_gives_the_knowledge_behind_it():
    examples = load("scienceqa", "train", limit=60)
    lessons = [lesson(ScienceQA(), "answer", each) for each in examples]
    rules = from_rationales(lessons)
    assert [rule.example for rule in rules] == [each.pid for each in examples]
    assert {each.kind for each in lessons} == {each.skill for each in examples}
    assert len({rule.rule for rule in rules}) == len({each.kind for each in lessons})
    assert rules == from_rationales(lessons), "it must not depend on chance"


WORDY = st.text(st.sampled_from("Aab (B)12.?!:\n|-*#$\"'’é\ud800 \u2028的"), max_size=60) | st.lists(
    st.sampled_from([*TENSES.split(), "Mona", "250", "It", "future tense.", "Verbs say when.", "\n- ", " | "]),
    max_size=40,
).map(" ".join)


@given(st.lists(st.tuples(WORDY, WORDY, WORDY, WORDY, WORDY), max_size=4))
@example([("question: Which?", "yes", "Verbs of any kind say when. " * 30, "", "verbs")])
def test_whatever_the_data_say_a_rule_has_no_flaw_and_leaks_nothing(drawn):
    lessons = [one(*each, id=str(number)) for number, each in enumerate(drawn)]
    for rule in from_rationales(lessons):
        source = lessons[int(rule.example)]
        assert flaw(rule.rule) is None
        assert leak(rule.rule, source.text, source.lecture) is None
        assert len(rule.rule.split()) <= WORDS


# Explanations that the teacher rewrites


def dot() -> dspy.Image:
    """A picture."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    return dspy.Image(f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}")


def explained(question="Which tense does Mona's sentence use?", answer="future tense", **explanations) -> dspy.Example:
    """A labelled example of verb tenses."""
    known = {"question": question, "answer": answer, "skill": "verb tenses", **explanations}
    return dspy.Example(**known).with_inputs("question", "image")


def asked(source: Source, *trainset: dspy.Example) -> list:
    """The prompts of a source that gets a good rule for each of them."""
    lm = scripted(lambda prompt: {"rule": GOOD, "reasoning": "because"})
    found = source.micro_rules(FakeContext(lm=lm, trainset=trainset), ["self"])
    assert [(rule.rule, rule.reasoning) for rule in found] == [(GOOD, "because")] * len(lm.engine.prompts)
    return lm.engine.prompts


def test_the_teacher_of_rationales_sees_the_lecture_and_nothing_of_the_example():
    case = explained(lecture=TENSES, solution="Mona's has will.", image=dot())
    assert asked(Examples(), case)[0].figures, "who looks at examples sees the figure"
    prompt = asked(RewrittenRationales(), case)[0]
    assert prompt.fields == {
        "task": "Given the fields `question`, produce the fields `answer`.",
        "kind": "verb tenses",
        "rationale": TENSES,
        "answer": "future tense",
        "refused": "",
    }
    assert prompt.figures == []


def test_examples_that_share_a_lecture_share_a_prompt_unless_it_speaks_of_their_answers():
    def fields(*answers: str) -> list[dict[str, str]]:
        cases = [explained(f"{answer}?", answer, lecture=TENSES) for answer in answers]
        return [prompt.fields for prompt in asked(RewrittenRationales(), *cases)]

    first, second = fields("Mona went.", "Jim went.")
    assert first == second
    assert first["answer"] == ""
    past, future = fields("past tense", "future tense")
    assert (past["answer"], future["answer"]) == ("past tense", "future tense")


def test_without_a_lecture_the_solution_and_its_answer_are_rewritten():
    case = explained(solution="Verbs in -ed are past.", answer="It is over.")
    fields = asked(RewrittenRationales(), case)[0].fields
    assert (fields["rationale"], fields["answer"]) == ("Verbs in -ed are past.", "It is over.")


@pytest.mark.parametrize("source", [RewrittenRationales(), Rationales()])
def test_examples_without_an_explanation_give_no_rule_and_cost_no_call(source):
    assert len(asked(RewrittenRationales(), explained(), explained(lecture=TENSES))) == 1
    lm = scripted(lambda prompt: {"rule": GOOD})
    context = FakeContext(lm=lm, trainset=[explained(), explained(solution=" \n")])
    with pytest.raises(PLDError, match=rf"^No rule came of the {source.name} of 2 training examples: .* a lecture or"):
        extract(context, [source], ["self"])
    assert lm.engine.prompts == []


def test_a_rewritten_rule_that_is_refused_is_written_once_more_with_the_reason():
    lm = scripted(lambda prompt: {"rule": GOOD if prompt.fields["refused"] else "No."})
    context = FakeContext(lm=lm, trainset=[explained(lecture=TENSES)])
    (rule,) = extract(context, [RewrittenRationales()], ["self"])
    assert rule.rule == GOOD
    assert lm.engine.prompts[1].fields["refused"].startswith("No.\nCannot be used: ")
    assert not any("Mona" in value for prompt in lm.engine.prompts for value in prompt.fields.values())


def test_a_rewritten_rule_may_not_repeat_the_demonstration():
    quoted = REWRITTEN.rationale.partition(".")[0]
    replies = iter([f"If it asks, {quoted}.", f"If it asks, know that {quoted}."])
    context = FakeContext(lm=scripted(lambda prompt: {"rule": next(replies)}), trainset=[explained(lecture=TENSES)])
    with pytest.raises(PLDError, match="quotes"):
        extract(context, [RewrittenRationales()], ["self"])


def test_the_demonstration_is_a_rule_as_the_teacher_is_to_write_them():
    refused, problem = REWRITTEN.refused.split("\nCannot be used: ")
    assert flaw(REWRITTEN.rule) is None
    assert leak(REWRITTEN.rule, "question: Does Ahmed stop?") is None
    assert f"{leak(refused, 'question: Does Ahmed stop?')}." == problem


def test_who_looks_at_examples_is_shown_all_of_them():
    fields = asked(Examples(), explained(lecture=TENSES, solution="Mona's has will."))[0].fields
    assert list(fields) == ["task", "example", "figures", "rationale", "answer", "refused"]
    assert fields["rationale"] == f"{TENSES}\nMona's has will."
    assert fields["example"].startswith("question: Which tense")
