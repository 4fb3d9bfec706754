"""Two touching blocks with thermometers: which way does thermal energy flow?"""

import random

from PIL import Image

from pld_dspy.rehearsal.skills.base import BLACK, RED, WHITE, Problem, Skill, canvas, columns, font, mask

WIDTH, HEIGHT = 420, 320
MATERIALS = {"copper": (236, 205, 180), "iron": (205, 208, 214), "wood": (232, 216, 176), "glass": (212, 236, 232)}
LEFT_TO_RIGHT, RIGHT_TO_LEFT = "from the left block to the right block", "from the right block to the left block"


class HeatFlow(Skill):
    """Thermal energy flows from the warmer block to the cooler one."""

    name = "Predict heat flow"
    benchmark = "scienceqa"
    subject, topic, grade = "natural science", "physics", "grade8"
    lecture = (
        "Temperature tells how hot or cold an object is. When two objects with different temperatures touch, thermal "
        "energy flows between them. It flows from the warmer object to the cooler one until both are equally warm."
    )
    question_pattern = r"direction .*thermal energy flow"
    rule_pattern = r"\bthermal energy\b|\bheat\b"
    right_pattern = r"\bfrom the (warmer|hotter|higher)\b[^,;:.]*\bto the (cooler|colder|lower)\b"
    wrong_pattern = r"\bfrom the (cooler|colder|lower)\b[^,;:.]*\bto the (warmer|hotter|higher)\b"
    situations = (
        "If a question asks in which direction thermal energy flows",
        "When two touching blocks have thermometers and the heat flow is asked for",
        "To tell which way thermal energy moves between two blocks",
    )
    right = (
        "read both thermometers: energy flows from the warmer block to the cooler block",
        "compare the red liquid in both thermometers: the flow goes from the higher level to the lower level",
        "find the two temperatures first: energy always moves from the hotter object to the colder one",
    )
    wrong = (
        "read both thermometers: energy flows from the cooler block to the warmer block",
        "compare the red liquid in both thermometers: the flow goes from the lower level to the higher level",
    )

    def draw(self, rng: random.Random) -> Problem:
        material, step = rng.choice(list(MATERIALS)), rng.choice((5, 10, 20))
        left, top, size = rng.randint(10, 50), rng.randint(10, 40), rng.randint(165, 180)
        levels = [rng.randint(10, 145) for _ in range(2)]
        while abs(levels[0] - levels[1]) < 14:
            levels[1] = rng.randint(10, 145)
        image, pen = canvas(WIDTH, HEIGHT)
        for index, level in enumerate(levels):
            start, zero = left + index * size, top + 205
            pen.rectangle((start, top, start + size, top + 260), fill=MATERIALS[material], outline=BLACK, width=2)
            x = start + 66
            pen.rounded_rectangle((x - 9, top + 40, x + 9, zero + 20), radius=9, fill=WHITE, outline=BLACK)
            pen.ellipse((x - 16, zero + 4, x + 16, zero + 36), fill=RED, outline=BLACK)
            pen.rectangle((x - 5, zero - level, x + 5, zero + 12), fill=RED)
            for tick in range(6):
                y = zero - 30 * tick
                pen.line((x + 9, y, x + 18, y), fill=BLACK, width=2)
                pen.text((x + 24, y), f"{tick * step}°C", fill=BLACK, font=font(16), anchor="lm")
            name = ("left", "right")[index]
            pen.text((start + size // 2, top + 10), f"{name} block", fill=BLACK, font=font(18), anchor="mt")
        temperatures = [round(level * step / 30) for level in levels]
        answer = LEFT_TO_RIGHT if levels[0] > levels[1] else RIGHT_TO_LEFT
        return Problem(
            question="In which direction does thermal energy flow?",
            choices=tuple(rng.sample((LEFT_TO_RIGHT, RIGHT_TO_LEFT), 2)),
            answer=answer,
            hint=f"Two equal blocks of {material} touch each other. Each has a thermometer.",
            figure=image,
            caption="Two blocks that touch, each with its thermometer.",
            solution=f"The left block is at about {temperatures[0]} degrees and the right one at about "
            f"{temperatures[1]}. Energy flows from the warmer block to the cooler one: {answer}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        red = mask(figure, RED)
        middle = (columns(red)[0] + columns(red)[-1]) // 2
        left_is_warmer = red[:, :middle].sum() > red[:, middle:].sum()
        return LEFT_TO_RIGHT if left_is_warmer == follow_right_rule else RIGHT_TO_LEFT
