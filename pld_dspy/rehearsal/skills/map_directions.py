"""A map whose compass is turned: which town is farthest north, south, east or west?"""

import random

from PIL import Image

from pld_dspy.rehearsal.skills import base
from pld_dspy.rehearsal.skills.base import BLACK, BLUE, RED, Colour, Problem, Skill, canvas, centre, font, mask

WIDTH, HEIGHT, PANEL = 500, 350, 120
SEA: Colour = (214, 234, 248)
LAND: Colour = (238, 244, 222)
TOWNS = {
    "Ashton": base.PURPLE, "Milford": base.ORANGE, "Dunmore": base.GREEN, "Oakley": base.BROWN, "Harlow": base.PINK,
    "Tarbet": base.TEAL,
}  # fmt: skip
SIDES = {-1j: "top", 1: "right", 1j: "bottom", -1: "left"}  # points are x + yj, so 1j is a turn clockwise
DIRECTIONS = ("north", "east", "south", "west")
PLACES = ("an island", "a valley", "a county", "a small country", "a cape", "a river plain")
UP = -1j


class MapDirections(Skill):
    """Directions on a map follow its compass, not the edges of the page."""

    name = "Read a map with a compass"
    benchmark = "scienceqa"
    subject, topic, grade = "social science", "geography", "grade4"
    lecture = (
        "Maps have four main directions: north, south, east and west. A compass on the map shows which way is north. "
        "North is not always at the top of the page. When you face north, east is to your right and west to your left."
    )
    question_pattern = r"which town is farthest (north|south|east|west)"
    rule_pattern = r"\bcompass\b|\btowns?\b"
    right_pattern = r"\bnorth\b((?!\bpage\b)[^,;:.])*\bN\b|\bN\b((?!\bpage\b)[^,;:.])*\bnorth\b"
    wrong_pattern = r"\bnorth\b[^,;:.]*\btop of the page\b|(?<!not )\btop of the page\b[^,;:.]*\bnorth\b"
    situations = (
        "If a question asks which town on a map is farthest in some direction",
        "When a map with a compass is shown",
        "To compare the positions of towns on a map",
    )
    right = (
        "find the compass arrow first: north is where its N points and the other directions follow from it",
        "turn the map in your mind until the N of the compass points up as north and only then compare the places",
        "take the compass needle as your guide: its N shows north even if it points sideways or down",
    )
    wrong = (
        "look at the page itself: north is always at the top of the page and the compass does not matter",
        "ignore the compass arrow: the top of the page is always north and its right side is east",
    )

    def draw(self, rng: random.Random) -> Problem:
        direction, north = rng.choice(DIRECTIONS), rng.choice((1, 1j, -1))
        names, start = rng.sample(list(TOWNS), rng.choice((4, 5))), rng.choice((0, PANEL))
        answer = by_page = ""
        while answer == by_page or not (answer and by_page):
            spots = _scatter(rng, len(names), start)
            answer, by_page = (_farthest(names, spots, direction, up, 25) for up in (north, UP))
        image, pen = canvas(WIDTH, HEIGHT)
        pen.rectangle((0, 0, WIDTH, HEIGHT), fill=SEA)
        pen.rounded_rectangle((start + 8, 8, start + WIDTH - PANEL - 8, HEIGHT - 8), 60, fill=LAND, outline=BLACK)
        for name, spot in zip(names, spots, strict=True):
            pen.circle((spot.real, spot.imag), 9, fill=TOWNS[name], outline=BLACK)
            pen.text((spot.real, spot.imag + 12), name, fill=BLACK, font=font(17), anchor="mt")
        middle = complex(PANEL // 2 if start else WIDTH - PANEL // 2, rng.randint(70, HEIGHT - 70))
        for tip, colour in ((32 * north, RED), (-32 * north, BLUE)):
            corners = [middle + tip, middle + 11j * north, middle - 11j * north]
            pen.polygon([(corner.real, corner.imag) for corner in corners], fill=colour, outline=BLACK)
        label = middle + 45 * north
        pen.text((label.real, label.imag), "N", fill=BLACK, font=font(24), anchor="mm")
        side = SIDES[north * 1j ** DIRECTIONS.index(direction)]
        return Problem(
            question=f"Which town is farthest {direction}?",
            choices=tuple(rng.sample(names, len(names))),
            answer=answer,
            hint=f"The map shows the towns of {rng.choice(PLACES)}.",
            figure=image,
            caption="A map of towns with a compass.",
            solution=f"By the compass, {direction} is toward the {side} of the page. {answer} lies farthest that way.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        small = figure.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST)
        red, blue, *spots = (
            complex(*centre(mask(small, colour, 15))) for colour in (RED, BLUE, *(TOWNS[name] for name in choices))
        )
        needle = (red - blue) / abs(red - blue)
        north = complex(round(needle.real), round(needle.imag)) if follow_right_rule else UP
        return _farthest(choices, spots, question.rstrip("?").split()[-1], north)


def _scatter(rng: random.Random, count: int, start: int) -> list[complex]:
    """Random places for towns, far enough apart for their labels."""
    spots: list[complex] = []
    while len(spots) < count:
        spot = complex(start + rng.randint(60, WIDTH - PANEL - 60), rng.randint(35, HEIGHT - 55))
        if all(abs(spot.real - other.real) > 85 or abs(spot.imag - other.imag) > 46 for other in spots):
            spots.append(spot)
    return spots


def _farthest(names: list[str], spots: list[complex], direction: str, north: complex, clear: float = 0) -> str:
    """The name of the place that lies farthest that way, or "" where the next one is nearly as far."""
    toward = north * 1j ** DIRECTIONS.index(direction)
    ranked = sorted(((spot * toward.conjugate()).real, name) for spot, name in zip(spots, names, strict=True))
    return ranked[-1][1] if ranked[-1][0] - ranked[-2][0] >= clear else ""
