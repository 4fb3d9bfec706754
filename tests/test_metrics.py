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
    ],
)
def test_parse_letter(text, letter):
    assert parse_letter(text, CHOICES) == letter
