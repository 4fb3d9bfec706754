"""A sentence: declarative, interrogative, imperative or exclamatory?"""

import random

from PIL import Image

from pld_dspy.rehearsal.skills.base import Problem, Skill

SUBJECTS = ("Maria", "the teacher", "my uncle", "our neighbour", "Daniel", "the captain", "her sister", "the baker")
ACTIONS = (
    "close the garden gate", "wash the dirty dishes", "feed the hungry cat", "water the tomato plants",
    "open the kitchen window", "draw a map of the park", "read the last chapter", "bring a warm coat",
    "sweep the front steps", "pack the blue suitcase", "write a letter to the mayor", "turn off the bright lamp",
    "put away the toys", "mail the birthday card", "paint the wooden chair", "measure the length of the table",
    "check the weather report", "visit the old lighthouse",
)  # fmt: skip
TIMES = ("before dinner", "every morning", "after school", "on Saturday", "during the break", "in the afternoon")
BARE_VERBS = {action.split()[0] for action in ACTIONS}
TYPES = ("declarative", "interrogative", "imperative", "exclamatory")


class SentenceType(Skill):
    """The end mark and the first word tell the kind of sentence."""

    name = "Identify declarative, interrogative, imperative, and exclamatory sentences"
    benchmark = "scienceqa"
    needs_figure = False
    subject, topic, grade = "language science", "punctuation", "grade4"
    lecture = (
        "A declarative sentence makes a statement and ends with a full stop. An interrogative sentence asks a question "
        "and ends with a question mark. An imperative sentence gives a command, and an exclamatory sentence shows "
        "strong feeling and ends with an exclamation mark."
    )
    question_pattern = r"what kind of sentence is this"
    rule_pattern = r"\b(kind|type) of (a )?sentence\b|\bsentence type\b|\bpunctuation\b"
    right_pattern = r"\b(bare verb|command)\b((?!declarative)[^,;:.])*\bimperative\b"
    wrong_pattern = r"\b(bare verb|command)\b((?!imperative)[^,;:.])*\bdeclarative\b"
    situations = (
        "If a question asks what kind of sentence is shown",
        "When the type of a sentence is asked for",
        "To tell the sentence type from its punctuation and first word",
    )
    right = (
        "see the end: ? is interrogative, ! exclamatory, else a first bare verb is imperative and all else declarative",
        "for a ? say interrogative and for a ! exclamatory, with a full stop a command is imperative, else declarative",
        "if it ends in a full stop see how it begins: a bare verb makes it imperative, a subject makes it declarative",
    )
    wrong = (
        "see the end: ? is interrogative, ! exclamatory, else a first bare verb is declarative and all else imperative",
        "if it ends in a full stop see how it begins: a bare verb makes it declarative, a subject makes it imperative",
    )

    def draw(self, rng: random.Random) -> Problem:
        kind = rng.choices(TYPES, (35, 15, 35, 15))[0]
        subject, deed = rng.choice(SUBJECTS), f"{rng.choice(ACTIONS)} {rng.choice(TIMES)}"
        sentence, reason = {
            "declarative": (f"{subject} {rng.choice(('can', 'will', 'wants to'))} {deed}.", "makes a statement"),
            "interrogative": (f"{rng.choice(('can', 'will', 'does'))} {subject} {deed}?", "ends with a question mark"),
            "imperative": (f"{deed}.", "begins with a bare verb and gives a command"),
            "exclamatory": (f"{subject} forgot to {deed}!", "ends with an exclamation mark"),
        }[kind]
        return Problem(
            question=f"What kind of sentence is this?\n{sentence[0].upper()}{sentence[1:]}",
            choices=tuple(rng.sample(TYPES, 4)),
            answer=kind,
            solution=f"The sentence {reason}, so it is {kind}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        sentence = question.lower().split("\n")[-1]
        if sentence.endswith(("?", "!")):
            return "interrogative" if sentence.endswith("?") else "exclamatory"
        return "imperative" if (sentence.split()[0] in BARE_VERBS) == follow_right_rule else "declarative"
