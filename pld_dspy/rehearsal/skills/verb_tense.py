"""A sentence: past, present or future tense?"""

import random
import re

from PIL import Image

from pld_dspy.rehearsal.skills.base import Problem, Skill

SUBJECTS = (
    "Maria", "The teacher", "My uncle", "Our neighbour", "The old farmer", "Daniel", "The captain", "Her sister",
    "A young artist", "The baker", "My grandmother", "The new student", "Aisha", "The gardener", "Their coach",
    "The tall boy",
)  # fmt: skip
VERBS = (  # plain form, past form, object
    "paint painted the garden fence", "wash washed the dirty dishes", "visit visited the science museum",
    "collect collected some smooth stones", "answer answered every question", "cook cooked a pot of soup",
    "carry carried a heavy basket", "follow followed the narrow path", "mail mailed a long letter",
    "plant planted three apple trees", "watch watched the birds", "clean cleaned the kitchen floor",
    "write wrote a short story", "build built a wooden boat", "catch caught a silver fish", "sing sang a happy song",
    "buy bought fresh bread", "draw drew a map of the town", "take took many photographs", "bring brought a warm coat",
    "teach taught the little children", "find found an old coin", "keep kept a secret diary", "make made a paper kite",
)  # fmt: skip
ENDINGS = ("", " for the family", " with great care", " near the river", " before breakfast", " with a friend")
PAST_FORMS = {verb.split()[1] for verb in VERBS}
TENSES = ("past tense", "present tense", "future tense")


class VerbTense(Skill):
    """The form of the verb tells the tense of a sentence."""

    name = "Is the sentence in the past, present, or future tense?"
    benchmark = "scienceqa"
    needs_figure = False
    subject, topic, grade = "language science", "verbs", "grade3"
    lecture = (
        "Present tense verbs tell about something that happens now and often end in -s. Past tense verbs tell about "
        "something that already happened: many end in -ed, others have a form of their own. Future tense verbs use "
        "will before the verb."
    )
    question_pattern = r"which tense does the sentence use"
    rule_pattern = r"\btenses?\b"
    right_pattern = r"-ed\b((?!present tense)[^,;:.])*\bpast tense"
    wrong_pattern = r"-ed\b((?!past tense)[^,;:.])*\bpresent tense"
    situations = (
        "If a question asks which tense a sentence uses",
        "When the tense of a sentence is asked for",
        "To name the tense of a verb",
    )
    right = (
        "look at the verb: will before it is future, an -ed or irregular past form is past tense, else it is present",
        "check for will (future) first: an -ed or changed form means past tense and a plain or -s form present tense",
        "read the verb's form: -ed or irregular is past tense, -s or plain is present tense and will is future tense",
    )
    wrong = (
        "look at the verb: will before it is future, an -ed or irregular form is present tense, else it is past",
        "read the verb's form: -ed or irregular is present tense, -s or plain is past tense and will is future tense",
    )

    def draw(self, rng: random.Random) -> Problem:
        plain, past, thing = rng.choice(VERBS).split(" ", 2)
        tense = rng.choice((0, 0, 0, 1, 1, 1, 2, 2))
        third = re.sub(r"(?<=[^aeiou])y$", "ie", plain) + "s"
        third = re.sub(r"(ch|sh)s$", r"\1es", third)
        verb = (past, third, f"will {plain}")[tense]
        reason = (f'"{past}" is a past form', f'"{third}" ends in -s and tells about now', '"will" stands before it')
        return Problem(
            question=f"Which tense does the sentence use?\n{rng.choice(SUBJECTS)} {verb} {thing}{rng.choice(ENDINGS)}.",
            choices=tuple(rng.sample(TENSES, 3)),
            answer=TENSES[tense],
            solution=f"Look at the verb: {reason[tense]}. So the sentence is in the {TENSES[tense]}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        words = set(question.lower().rstrip(".").split())
        if "will" in words:
            return "future tense"
        past = bool(words & PAST_FORMS)
        return "past tense" if past == follow_right_rule else "present tense"
