"""A map whose compass is turned: which town is farthest north, south, east or west?"""

import random

from PIL import Image

from pld_dspy.rehearsal.skills.base import BLACK, BLUE, COLOURS, RED, WATER, Problem, Skill, canvas, centre, mask, write

WIDTH, HEIGHT, PANEL = 500, 350, 120
LAND = (238, 244, 222)
TOWNS = dict(zip(("Ashton", "Milford", "Dunmore", "Oakley", "Harlow", "Tarbet"), COLOURS[2:], strict=True))
UP = -1j  # points are x + yj, so times 1j is a turn clockwise
DIRECTIONS = ("north", "east", "south", "west")
PLACES = ("an island", "a valley", "a county", "a small country", "a cape", "a river plain")


class MapDirections(Skill):
    """Directions on a map follow its compass, not the edges of the page."""

    name = "Read a map with a compass"
    subject, topic, grade = "social science", "geography", "grade4"
    lecture = "On a map, north is where the N of its compass points. East is to its right, and west to its left."
    question_pattern = r"which town is farthest (north|south|east|west)"
    rule_pattern = r"\bcompass\b|\btowns?\b"
    claim_pattern = r"\bnorth\b[^,;:.]*(?:(\bN\b)|\btop of the page\b)"
    questions = "which town on a map is farthest in some direction"
    right = (
        "find the compass arrow first: north is where its N points and the other directions follow from it",
        "take the compass needle as your guide: north is on the side of its N even if that points sideways or down",
    )
    wrong = "look at the page itself: north is always at the top of the page and the compass does not matter"

    def draw(self, rng: random.Random) -> Problem:
        direction, north = rng.choice(DIRECTIONS), rng.choice((1, 1j, -1))
        names = rng.sample(list(TOWNS), rng.choice((4, 5)))
        answer = by_page = ""
        while answer == by_page:
            xs, ys = rng.sample(range(60, 330, 50), len(names)), rng.sample(range(35, 300, 50), len(names))
            spots = dict(zip(names, map(complex, xs, ys), strict=True))
            answer, by_page = (_farthest(spots, direction, up) for up in (north, UP))
        image, pen = canvas(WIDTH, HEIGHT)
        pen.rectangle((0, 0, WIDTH, HEIGHT), fill=WATER)
        pen.rounded_rectangle((8, 8, WIDTH - PANEL - 8, HEIGHT - 8), 60, fill=LAND, outline=BLACK)
        for name, spot in spots.items():
            pen.circle((spot.real, spot.imag), 9, fill=TOWNS[name], outline=BLACK)
            write(pen, spot.real, spot.imag + 20, name, 17)
        middle = complex(WIDTH - PANEL // 2, rng.randint(70, HEIGHT - 70))
        for tip, colour in ((32 * north, RED), (-32 * north, BLUE)):
            corners = [middle + tip, middle + 11j * north, middle - 11j * north]
            pen.polygon([(corner.real, corner.imag) for corner in corners], fill=colour, outline=BLACK)
        label = middle + 45 * north
        write(pen, label.real, label.imag, "N", 24)
        return Problem(
            question=f"Which town is farthest {direction}?",
            choices=tuple(rng.sample(names, len(names))),
            answer=answer,
            hint=f"The map shows the towns of {rng.choice(PLACES)}.",
            figure=image,
            caption="A map of towns with a compass.",
            solution=f"The N of the compass shows where {direction} is: {answer} lies farthest that way.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        small = figure.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST)
        spots = {name: centre(mask(small, TOWNS[name], 15)) for name in choices}
        needle = centre(mask(small, RED, 15)) - centre(mask(small, BLUE, 15))
        return _farthest(spots, self.subject_of(question), needle / abs(needle) if follow_right_rule else UP)


def _farthest(spots: dict[str, complex], direction: str, north: complex) -> str:
    """The name of the place that lies farthest that way."""
    toward = north * 1j ** DIRECTIONS.index(direction)
    return max(spots, key=lambda name: (spots[name] * toward.conjugate()).real)
