import pytest

from pld_dspy.metrics.scienceqa import parse_letter

CHOICES = ["past tense", "present tense", "Option C is a trap"]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" b. ", "B"),
        ("(B)", "B"),
        ("B) present tense", "B"),
        ("(B) present tense", "B"),
        ("The answer is B.", "B"),
        ("Answer: (A)", "A"),
        ("present tense", "B"),
        ("Present tense.", "B"),
        ("(A) or (B)", None),
        ("(D)", None),
        ("D", None),
        ("", None),
        ("A past event is meant", None),
        ("I cannot see the image", None),
        ("The answer is a trap", None),
        ("The correct answer is: Present tense.", "B"),
        ("Answer: option c is a trap", "C"),
        ("(A) maybe " + "blah " * 900 + "(B)", "A"),
    ],
)
def test_parse_letter(text, letter):
    assert parse_letter(text, CHOICES) == letter


def test_an_article_is_no_letter_where_the_text_of_a_choice_is_named():
    assert parse_letter("The answer is A bag of beans.", ["a cup of rice", "a bag of beans"]) == "B"


def test_a_choice_with_a_described_picture_may_be_named_without_it():
    assert parse_letter("yak", ["bull shark", "Yak."]) == "B"
