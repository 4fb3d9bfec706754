"""Two flasks of solution: which one has the higher concentration?"""

import random

from PIL import Image
from scipy import ndimage

from pld_dspy.rehearsal.skills.base import BLACK, GREEN, ORANGE, PURPLE, RED, Colour, Problem, Skill, canvas, font, mask

WIDTH, HEIGHT = 440, 320
LIQUID: Colour = (214, 234, 248)
PARTICLES = {"red": RED, "green": GREEN, "purple": PURPLE, "orange": ORANGE}
ROWS = ((22, 1), (49, 1), (76, 2), (103, 2))
SPOTS = [(26 * column, y) for y, reach in ROWS for column in range(-reach, reach + 1)]  # seen from the liquid's top
SAME = "neither; their concentrations are the same"


class Concentration(Skill):
    """In equal volumes, more particles make the higher concentration."""

    name = "Compare concentrations of solutions"
    benchmark = "scienceqa"
    subject, topic, grade = "natural science", "chemistry", "grade7"
    lecture = (
        "A solution is made up of a solute that is dissolved in a solvent. The concentration of a solution tells how "
        "many particles of solute there are in a given volume. When two solutions have the same volume, the one with "
        "more particles has the higher concentration."
    )
    question_pattern = r"which solution has a higher concentration of (\w+) particles"
    rule_pattern = r"\bconcentrations?\b"
    right_pattern = r"\bmore (\w+ )?particles\b((?!lower)[^,;:.])*\bhigher concentration"
    wrong_pattern = r"\b(fewer|less) (\w+ )?particles\b((?!lower)[^,;:.])*\bhigher concentration"
    situations = (
        "If a question asks which of two solutions has the higher concentration",
        "When two flasks of solution are compared for their concentration",
        "To compare the concentrations of two solutions",
    )
    right = (
        "count the particles in each flask: in equal volumes, more particles mean the higher concentration",
        "compare the counts: the flask with more particles has the higher concentration, equal counts are the same",
        "count the balls of the named colour: if the volumes are equal, more particles make a higher concentration",
    )
    wrong = (
        "count the particles in each flask: in equal volumes, fewer particles mean the higher concentration",
        "compare the counts: the flask with fewer particles has the higher concentration, equal counts are the same",
    )

    def draw(self, rng: random.Random) -> Problem:
        colour, volume = rng.choice(list(PARTICLES)), rng.choice((20, 25, 30, 35, 40, 45, 50))
        counts = [rng.randint(3, 12)] * 2 if rng.random() < 0.15 else rng.sample(range(3, 13), 2)
        image, pen = canvas(WIDTH, HEIGHT)
        top = rng.randint(12, 30)
        for label, count, x in zip("AB", counts, (115, 325), strict=True):
            neck, body, surface, bottom = top + 6, top + 70, top + 100, top + 222
            slope = 68 / (bottom - body)
            half = 22 + slope * (surface - body)
            pen.polygon([(x - half, surface), (x + half, surface), (x + 90, bottom), (x - 90, bottom)], fill=LIQUID)
            side = [(22, neck), (22, body), (90, bottom)]
            outline = [(x - dx, y) for dx, y in side] + [(x + dx, y) for dx, y in reversed(side)]
            pen.line(outline, fill=BLACK, width=3, joint="curve")
            for dx, dy in rng.sample(SPOTS, count):
                cx, cy = x + dx + rng.randint(-3, 3), surface + dy + rng.randint(-3, 3)
                pen.ellipse((cx - 8, cy - 8, cx + 8, cy + 8), fill=PARTICLES[colour], outline=BLACK)
            pen.text((x, bottom + 10), f"Solution {label}", fill=BLACK, font=font(20), anchor="mt")
            pen.text((x, bottom + 36), f"Solvent volume: {volume} mL", fill=BLACK, font=font(16), anchor="mt")
        first, second = counts
        answer = SAME if first == second else "solution A" if first > second else "solution B"
        return Problem(
            question=f"Which solution has a higher concentration of {colour} particles?",
            choices=tuple(rng.sample(("solution A", "solution B", SAME), 3)),
            answer=answer,
            hint=f"Each {colour} ball represents one particle of solute.",
            figure=image,
            caption="Two solutions with the same volume of solvent.",
            solution=f"Flask A holds {first} particles and flask B {second} in the same volume, so it is {answer}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        where = mask(figure, PARTICLES[self.asked(question)], 15)
        first, second = (ndimage.label(half)[1] for half in (where[:, : WIDTH // 2], where[:, WIDTH // 2 :]))
        if first == second:
            return SAME
        return "solution A" if (first > second) == follow_right_rule else "solution B"
