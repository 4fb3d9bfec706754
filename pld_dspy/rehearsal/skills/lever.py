"""A seesaw with two stacks of weights: which side goes down?"""

import random

from PIL import Image
from scipy import ndimage

from pld_dspy.rehearsal.skills.base import BLACK, BROWN, GREY, ORANGE, Problem, Skill, canvas, centre, font, mask

WIDTH, HEIGHT, SIZE = 500, 270, 24
THINGS = ("brick", "crate", "block", "box", "bag")


class Lever(Skill):
    """The side with the larger product of weight and distance goes down."""

    name = "Predict the motion of a lever"
    benchmark = "scienceqa"
    subject, topic, grade = "natural science", "physics", "grade6"
    lecture = (
        "A lever is a bar that turns on a pivot. How strongly a weight turns it depends on how heavy it is and on how "
        "far from the pivot it stands. Weight times distance tells the turning effect, and the side with the larger "
        "turning effect goes down."
    )
    question_pattern = r"which side of the lever goes down"
    rule_pattern = r"\blever\b|\bseesaw\b"
    right_pattern = r"\b(larger|greater|bigger|higher) product\b[^,;:.]*\b(goes down|sinks)\b"
    wrong_pattern = r"\b(more|most) weights\b[^,;:.]*\b(goes down|sinks)\b"
    situations = (
        "If a question asks which side of a lever goes down",
        "When weights stand on both sides of a lever",
        "To predict which way a seesaw tips",
    )
    right = (
        "multiply the number of weights by their distance from the pivot: the side with the larger product goes down",
        "count the weights and the marks to the pivot and multiply the two: the greater product sinks",
        "take weights times distance for each side: the side that has the bigger product goes down",
    )
    wrong = (
        "count the weights and ignore the distance: the side with more weights goes down",
        "compare the two stacks only: the side that holds more weights sinks wherever they stand",
    )

    def draw(self, rng: random.Random) -> Problem:
        step, pivot, top = rng.randint(44, 52), WIDTH // 2 + rng.randint(-12, 12), rng.randint(165, 190)
        while True:
            (left, left_mark), (right, right_mark) = ((rng.randint(1, 6), rng.randint(1, 4)) for _ in range(2))
            if (left - right) * (left * left_mark - right * right_mark) < 0:
                break
        image, pen = canvas(WIDTH, HEIGHT)
        pen.polygon([(pivot, top + 12), (pivot - 26, top + 62), (pivot + 26, top + 62)], fill=GREY, outline=BLACK)
        pen.rectangle((pivot - 4.4 * step, top, pivot + 4.4 * step, top + 12), fill=BROWN, outline=BLACK)
        for mark in range(-4, 5):
            x = pivot + mark * step
            pen.line((x, top, x, top + 12), fill=BLACK, width=2)
            if mark:
                pen.text((x, top + 18), str(abs(mark)), fill=BLACK, font=font(18), anchor="mt")
        for count, mark in ((left, -left_mark), (right, right_mark)):
            for level in range(count):
                x, y = pivot + mark * step - SIZE // 2, top - 1 - (level + 1) * SIZE
                pen.rectangle((x, y, x + SIZE, y + SIZE), fill=ORANGE, outline=BLACK, width=2)
        answer = "left side" if left * left_mark > right * right_mark else "right side"
        thing, mass = rng.choice(THINGS), rng.choice((1, 2, 5, 10))
        return Problem(
            question="Which side of the lever goes down?",
            choices=tuple(rng.sample(("left side", "right side"), 2)),
            answer=answer,
            hint=f"Each weight is a {thing} of {mass} kg. The marks on the bar are equally far apart.",
            figure=image,
            caption="A lever with two stacks of equal weights on its marked bar.",
            solution=f"Left: {left} x {left_mark} = {left * left_mark}. Right: {right} x {right_mark} = "
            f"{right * right_mark}. The {answer} has the larger product, so it goes down.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        weights, pivot = mask(figure, ORANGE, 15), round(centre(mask(figure, BROWN, 15))[0])
        effects = []
        for side, origin in ((weights[:, :pivot], pivot), (weights[:, pivot:], 0)):
            distance = abs(centre(side)[0] - origin) if follow_right_rule else 1
            effects.append(ndimage.label(side)[1] * distance)
        return "left side" if effects[0] > effects[1] else "right side"
