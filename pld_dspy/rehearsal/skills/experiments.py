"""Four experiments that are read by counts and positions: two solutions, two warm blocks, a lever and two magnets."""

import random

from PIL import Image
from scipy import ndimage

from pld_dspy.rehearsal.skills import base
from pld_dspy.rehearsal.skills.base import BLACK, Problem, Skill, canvas, centre, columns, mask, write

PARTICLES = {"red": base.RED, "green": base.GREEN, "purple": base.PURPLE, "orange": base.ORANGE}
SPOTS = [(x, y) for x in (-56, -28, 0, 28, 56) for y in (-50, -22, 6, 34)]  # seen from the middle of the liquid
SAME = "neither; their concentrations are the same"
MATERIALS = {"copper": (236, 205, 180), "iron": (205, 208, 214), "wood": (232, 216, 176), "glass": (212, 236, 232)}
LEFT_TO_RIGHT, RIGHT_TO_LEFT = "from the left block to the right block", "from the right block to the left block"
SURFACES = ("a steel table", "a wooden desk", "a glass plate", "a paper sheet")


class Concentration(Skill):
    """In equal volumes, more particles make the higher concentration."""

    name = "Compare concentrations of solutions"
    subject, topic, grade = "natural science", "chemistry", "grade7"
    lecture = "When solutions have the same volume, the one with more particles has the higher concentration."
    question_pattern = r"which solution has a higher concentration of (\w+) particles"
    rule_pattern = r"\bconcentrations?\b"
    claim_pattern = r"\b(?:(more)|fewer|less) (?:\w+ )?particles\b(?:(?!lower)[^,;:.])*\bhigher concentration"
    questions = "which of two solutions has the higher concentration"
    right = (
        "count the particles in each beaker: in equal volumes, more particles mean the higher concentration",
        "compare the counts: the beaker with more particles has the higher concentration, equal counts are the same",
    )
    wrong = "see which beaker is emptier: in equal volumes, fewer particles mean the higher concentration"

    def draw(self, rng: random.Random) -> Problem:
        colour, volume = rng.choice(list(PARTICLES)), rng.choice((20, 25, 30, 35, 40, 45, 50))
        counts = [rng.randint(3, 12)] * 2 if rng.random() < 0.15 else rng.sample(range(3, 13), 2)
        image, pen = canvas(440, 260)
        middle = rng.randint(85, 120)
        for label, count, x in zip("AB", counts, (115, 325), strict=True):
            pen.rectangle((x - 78, middle - 65, x + 78, middle + 55), fill=base.WATER)
            pen.line((x - 78, 8, x - 78, middle + 55, x + 78, middle + 55, x + 78, 8), fill=BLACK, width=3)
            for dx, dy in rng.sample(SPOTS, count):
                cx, cy = x + dx + rng.randint(-4, 4), middle + dy + rng.randint(-4, 4)
                pen.circle((cx, cy), 8, fill=PARTICLES[colour], outline=BLACK)
            write(pen, x, middle + 75, f"Solution {label}", 20)
            write(pen, x, middle + 100, f"Solvent volume: {volume} mL", 16)
        first, second = counts
        answer = SAME if first == second else "solution A" if first > second else "solution B"
        return Problem(
            question=f"Which solution has a higher concentration of {colour} particles?",
            choices=tuple(rng.sample(("solution A", "solution B", SAME), 3)),
            answer=answer,
            hint=f"Each {colour} ball represents one particle of solute.",
            figure=image,
            caption="Two solutions with the same volume of solvent.",
            solution=f"Beaker A holds {first} particles and beaker B {second} in the same volume, so it is {answer}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        particles, middle = mask(figure, PARTICLES[self.subject_of(question)], 15), figure.width // 2
        first, second = (ndimage.label(half)[1] for half in (particles[:, :middle], particles[:, middle:]))
        if first == second:
            return SAME
        return "solution A" if (first > second) == follow_right_rule else "solution B"


class HeatFlow(Skill):
    """Thermal energy flows from the warmer block to the cooler one."""

    name = "Predict heat flow"
    subject, topic, grade = "natural science", "physics", "grade8"
    lecture = "When two objects touch, thermal energy flows from the warmer object to the cooler one."
    question_pattern = r"direction .*thermal energy flow"
    rule_pattern = r"\bthermal energy\b|\bheat\b"
    claim_pattern = r"\bfrom the (?:(warmer|hotter|higher)|cooler|colder|lower)\b[^,;:.]*\bto the\b"
    questions = "in which direction thermal energy flows between two blocks"
    right = (
        "read both thermometers: energy flows from the warmer block to the cooler block",
        "compare the red liquid in both thermometers: the flow goes from the higher level to the lower level",
    )
    wrong = "see which block needs warmth: energy flows from the cooler block to the warmer block"

    def draw(self, rng: random.Random) -> Problem:
        material, step = rng.choice(list(MATERIALS)), rng.choice((5, 10, 20))
        left, top, size = rng.randint(10, 50), rng.randint(10, 40), rng.randint(165, 180)
        warm, cool = rng.choice([(warm, cool) for warm in range(24, 146) for cool in range(10, warm - 13)])
        answer, levels = rng.choice(((LEFT_TO_RIGHT, (warm, cool)), (RIGHT_TO_LEFT, (cool, warm))))
        image, pen = canvas(420, 320)
        for name, level, start in zip(("left", "right"), levels, (left, left + size), strict=True):
            x, zero = start + 66, top + 205
            pen.rectangle((start, top, start + size, top + 260), fill=MATERIALS[material], outline=BLACK, width=2)
            pen.rectangle((x - 9, top + 40, x + 9, zero + 20), fill=base.WHITE, outline=BLACK)
            pen.circle((x, zero + 20), 16, fill=base.RED, outline=BLACK)
            pen.rectangle((x - 5, zero - level, x + 5, zero + 12), fill=base.RED)
            for tick in range(6):
                pen.line((x + 9, zero - 30 * tick, x + 18, zero - 30 * tick), fill=BLACK, width=2)
                write(pen, x + 24, zero - 30 * tick, f"{tick * step}°C", 16, "lm")
            write(pen, start + size // 2, top + 20, f"{name} block")
        left_degrees, right_degrees = (round(level * step / 30) for level in levels)
        return Problem(
            question="In which direction does thermal energy flow?",
            choices=tuple(rng.sample((LEFT_TO_RIGHT, RIGHT_TO_LEFT), 2)),
            answer=answer,
            hint=f"Two equal blocks of {material} touch each other. Each has a thermometer.",
            figure=image,
            caption="Two blocks that touch, each with its thermometer.",
            solution=f"About {left_degrees} and {right_degrees} degrees: energy flows {answer}, the cooler one.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        red = mask(figure, base.RED)
        middle = (columns(red)[0] + columns(red)[-1]) // 2
        left_is_warmer = red[:, :middle].sum() > red[:, middle:].sum()
        return LEFT_TO_RIGHT if left_is_warmer == follow_right_rule else RIGHT_TO_LEFT


class Lever(Skill):
    """The side with the larger product of weight and distance goes down."""

    name = "Predict the motion of a lever"
    subject, topic, grade = "natural science", "physics", "grade6"
    lecture = "Weight times distance from the pivot tells how strongly a weight turns a lever down on its side."
    question_pattern = r"which side of the lever goes down"
    rule_pattern = r"\blever\b|\bseesaw\b"
    claim_pattern = r"\b(?:((?:larger|greater|bigger) product)|more weights)\b[^,;:.]*\b(?:goes down|sinks)\b"
    questions = "which side of a lever goes down"
    right = (
        "multiply the number of weights by their distance from the pivot: the side with the larger product goes down",
        "count the weights and the marks to the pivot and multiply the two: the side with the greater product sinks",
    )
    wrong = "count the weights and ignore the distance: the side with more weights goes down"

    def draw(self, rng: random.Random) -> Problem:
        step, pivot, top = rng.randint(44, 52), 250 + rng.randint(-12, 12), rng.randint(165, 190)
        left = right = left_mark = right_mark = 0
        while (left - right) * (left * left_mark - right * right_mark) >= 0:
            left, right, left_mark, right_mark = *rng.choices(range(1, 7), k=2), *rng.choices(range(1, 5), k=2)
        image, pen = canvas(500, 270)
        pen.polygon([(pivot, top + 12), (pivot - 26, top + 62), (pivot + 26, top + 62)], fill=base.GREY, outline=BLACK)
        pen.rectangle((pivot - 4.4 * step, top, pivot + 4.4 * step, top + 12), fill=base.BROWN, outline=BLACK)
        for mark in (-4, -3, -2, -1, 1, 2, 3, 4):
            x = pivot + mark * step
            pen.line((x, top, x, top + 12), fill=BLACK, width=2)
            write(pen, x, top + 26, str(abs(mark)))
        for count, x in ((left, pivot - left_mark * step), (right, pivot + right_mark * step)):
            for y in range(top - 25, top - 25 - 24 * count, -24):
                pen.rectangle((x - 12, y, x + 12, y + 24), fill=base.ORANGE, outline=BLACK, width=2)
        answer = "left side" if left * left_mark > right * right_mark else "right side"
        thing, mass = rng.choice(("brick", "crate", "block", "box", "bag")), rng.choice((1, 2, 5, 10))
        return Problem(
            question="Which side of the lever goes down?",
            choices=tuple(rng.sample(("left side", "right side"), 2)),
            answer=answer,
            hint=f"Each weight is a {thing} of {mass} kg. The marks on the bar are equally far apart.",
            figure=image,
            caption="A lever with two stacks of equal weights on its marked bar.",
            solution=f"Compare {left} x {left_mark} and {right} x {right_mark}: the {answer} has the larger product.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        weights, pivot = mask(figure, base.ORANGE, 15), round(centre(mask(figure, base.BROWN, 15)).real)
        effects = []
        for side, origin in ((weights[:, :pivot], pivot), (weights[:, pivot:], 0)):
            distance = abs(centre(side).real - origin) if follow_right_rule else 1
            effects.append(ndimage.label(side)[1] * distance)
        return "left side" if effects[0] > effects[1] else "right side"


class Magnets(Skill):
    """Unlike poles that face each other attract, like poles repel."""

    name = "Predict the force between two magnets"
    subject, topic, grade = "natural science", "physics", "grade5"
    lecture = "Every magnet has a north pole (N) and a south pole (S). Opposite poles attract, like poles repel."
    question_pattern = r"magnets? .*(attract|repel)"
    rule_pattern = r"\bmagnets?\b"
    claim_pattern = r"\b(?:(unlike|opposite|different)|like|same) poles (?:(?!poles)\w+ ){0,3}(?:attract|pull)"
    questions = "whether two magnets attract or repel each other"
    right = (
        "look at the two poles that face each other: unlike poles attract and like poles repel",
        "compare the letters on the inner ends: opposite poles pull together, same poles push apart",
    )
    wrong = "look for what the magnets have in common: same poles attract and different poles repel"

    def draw(self, rng: random.Random) -> Problem:
        poles = ["".join(rng.sample("NS", 2)) for _ in range(2)]
        left, top, gap = rng.randint(15, 55), rng.randint(35, 75), rng.randint(16, 60)
        image, pen = canvas(420, 160)
        for letter, x in zip("".join(poles), (left, left + 65, left + 130 + gap, left + 195 + gap), strict=True):
            pen.rectangle((x, top, x + 64, top + 44), fill=base.RED if letter == "N" else base.BLUE, outline=BLACK)
            write(pen, x + 32, top + 22, letter, 26, colour=base.WHITE)
        answer, kind = ("repel", "like") if poles[0][1] == poles[1][0] else ("attract", "unlike")
        return Problem(
            question="Will these magnets attract or repel each other?",
            choices=tuple(rng.sample(("attract", "repel"), 2)),
            answer=answer,
            hint=f"Two magnets are placed on {rng.choice(SURFACES)} as shown.",
            figure=image,
            caption="Two bar magnets with their poles marked N and S.",
            solution=f"The poles {poles[0][1]} and {poles[1][0]} face each other: {kind} poles, so they {answer}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        red, blue = mask(figure, base.RED), mask(figure, base.BLUE)
        xs = columns(red | blue)
        gap = next(i for i in range(1, len(xs)) if xs[i] - xs[i - 1] > 8)
        alike = len({bool(red[:, x].sum() > blue[:, x].sum()) for x in (xs[gap - 1] - 6, xs[gap] + 6)}) == 1
        return "repel" if alike == follow_right_rule else "attract"
