"""Two bar magnets: do they attract or repel each other?"""

import random

from PIL import Image

from pld_dspy.rehearsal.skills.base import BLACK, BLUE, RED, WHITE, Problem, Skill, canvas, columns, font, mask

WIDTH, HEIGHT = 420, 160


class Magnets(Skill):
    """Unlike poles that face each other attract, like poles repel."""

    name = "Predict the force between two magnets"
    benchmark = "scienceqa"
    subject, topic, grade = "natural science", "physics", "grade5"
    lecture = (
        "Magnets can pull or push on each other without touching. Every magnet has a north pole (N) and a south pole "
        "(S). Opposite poles attract each other, and like poles repel each other."
    )
    question_pattern = r"magnets? .*(attract|repel)"
    rule_pattern = r"\bmagnets?\b"
    right_pattern = r"\b(unlike|opposite|different) poles ((?!poles)\w+ ){0,3}(attract|pull)"
    wrong_pattern = r"\b(like|same) poles ((?!poles)\w+ ){0,3}(attract|pull)"
    situations = (
        "If a question asks whether two magnets attract or repel",
        "When two magnets are shown side by side",
        "To tell the force between a pair of magnets",
    )
    right = (
        "look at the two poles that face each other: unlike poles attract and like poles repel",
        "compare the letters on the inner ends: opposite poles pull together, same poles push apart",
        "check the facing ends only: if different poles meet they attract, otherwise they repel",
    )
    wrong = (
        "look at the two poles that face each other: like poles attract and unlike poles repel",
        "compare the letters on the inner ends: same poles pull together, opposite poles push apart",
    )

    def draw(self, rng: random.Random) -> Problem:
        poles = ["".join(rng.sample("NS", 2)) for _ in range(2)]
        left, top, gap = rng.randint(15, 55), rng.randint(35, 75), rng.randint(16, 60)
        image, pen = canvas(WIDTH, HEIGHT)
        for magnet, start in zip(poles, (left, left + 130 + gap), strict=True):
            for letter, x in zip(magnet, (start, start + 65), strict=True):
                pen.rectangle((x, top, x + 64, top + 44), fill=RED if letter == "N" else BLUE, outline=BLACK)
                pen.text((x + 32, top + 22), letter, fill=WHITE, font=font(26), anchor="mm")
        answer = "repel" if poles[0][1] == poles[1][0] else "attract"
        kind = "like" if answer == "repel" else "unlike"
        material = rng.choice(("a steel table", "a wooden desk", "a glass plate", "a paper sheet"))
        return Problem(
            question="Will these magnets attract or repel each other?",
            choices=("attract", "repel") if rng.random() < 0.5 else ("repel", "attract"),
            answer=answer,
            hint=f"Two magnets are placed on {material} as shown.",
            figure=image,
            caption="Two bar magnets with their poles marked N and S.",
            solution=f"The poles {poles[0][1]} and {poles[1][0]} face each other: {kind} poles, so they {answer}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        red, blue = mask(figure, RED), mask(figure, BLUE)
        drawn = columns(red | blue)
        gap = next(i for i in range(1, len(drawn)) if drawn[i] - drawn[i - 1] > 8)
        inner = [drawn[gap - 1] - 6, drawn[gap] + 6]
        alike = len({bool(red[:, x].sum() > blue[:, x].sum()) for x in inner}) == 1
        return "repel" if alike == follow_right_rule else "attract"
