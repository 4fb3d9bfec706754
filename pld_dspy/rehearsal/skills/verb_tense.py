"""A sentence: past, present or future tense?"""

import random

from PIL import Image

from pld_dspy.rehearsal.skills.base import Problem, Skill

SUBJECTS = ("Maria", "The teacher", "My uncle", "Our neighbour", "Daniel", "The captain", "Her sister", "The baker")
VERBS = (  # past form, present form, plain form, object
    "painted paints paint the garden fence", "washed washes wash the dirty dishes", "cooked cooks cook a pot of soup",
    "carried carries carry a heavy basket", "planted plants plant three apple trees",
    "wrote writes write a short story", "built builds build a wooden boat", "caught catches catch a silver fish",
    "sang sings sing a happy song", "bought buys buy fresh bread", "drew draws draw a map of the town",
    "took takes take many photographs", "taught teaches teach the little children",
)  # fmt: skip
ENDINGS = ("", " for the family", " with great care", " near the river", " before breakfast", " with a friend")
PAST_FORMS = {verb.split()[0] for verb in VERBS}
TENSES = ("past tense", "present tense", "future tense")


class VerbTense(Skill):
    """The form of the verb tells the tense of a sentence."""

    name = "Is the sentence in the past, present, or future tense?"
    needs_figure = False
    subject, topic, grade = "language science", "verbs", "grade3"
    lecture = "Past tense verbs often end in -ed, present tense verbs in -s, and will stands before future ones."
    question_pattern = r"which tense does the sentence use"
    rule_pattern = r"\btenses?\b"
    claim_pattern = r"-ed\b[^,;:.]*?\b(?:(past)|present) tense"
    questions = "which tense a sentence uses"
    right = (
        "look at the verb: will before it is future, an -ed or irregular past form is past tense, else it is present",
        "read the verb's form: -ed or irregular is past tense, -s or plain is present tense and will is future tense",
    )
    wrong = "look at the verb: will before it is future, an -ed or irregular form is present tense, else it is past"

    def draw(self, rng: random.Random) -> Problem:
        past, present, plain, thing = rng.choice(VERBS).split(" ", 3)
        tense = rng.choices(TENSES, (3, 3, 2))[0]
        verb = {"past tense": past, "present tense": present, "future tense": f"will {plain}"}[tense]
        return Problem(
            question=f"Which tense does the sentence use?\n{rng.choice(SUBJECTS)} {verb} {thing}{rng.choice(ENDINGS)}.",
            choices=tuple(rng.sample(TENSES, 3)),
            answer=tense,
            solution=f'The form of the verb, "{verb}", tells that the sentence is in the {tense}.',
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        words = set(question.lower().rstrip(".").split())
        if "will" in words:
            return "future tense"
        past = bool(words & PAST_FORMS)
        return "past tense" if past == follow_right_rule else "present tense"
