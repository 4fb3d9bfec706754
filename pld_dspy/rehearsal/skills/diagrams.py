"""Boxes and arrows: who eats whom in a food web, and which module of an architecture follows on which?"""

import random
from itertools import pairwise

import numpy as np
from PIL import Image

from pld_dspy.rehearsal.skills.base import BLACK, COLOURS, Colour, Problem, Skill, arrow, canvas, drawn, mask, write
from pld_dspy.rehearsal.skills.results import NAMES

HALF = 62, 25  # of a box's width and height
RING = (85, 70), (275, 70), (465, 70), (465, 230), (275, 230), (85, 230)  # places for boxes, next to each other
PALE = [(170 + red // 3, 170 + green // 3, 170 + blue // 3) for red, green, blue in COLOURS]
MODULES = dict(
    zip(("Tokenizer", "Encoder", "Router", "Adapter", "Memory", "Projector", "Fusion", "Decoder"), PALE, strict=True)
)
WEBS = {  # each organism is eaten by the next one
    "meadow": ("grass", "grasshopper", "frog", "snake", "hawk"),
    "lake": ("algae", "water flea", "minnow", "perch", "heron"),
    "forest": ("oak tree", "caterpillar", "songbird", "weasel", "owl"),
    "tundra": ("lichen", "lemming", "ermine", "arctic fox", "bear"),
}


def _track(a: complex, b: complex) -> tuple[complex, complex, complex]:
    """Start, end and direction of an arrow from the box around a to the box around b."""
    along = (b - a) / abs(b - a)
    reach = along * min(half / max(abs(part), 1e-9) for half, part in zip(HALF, (along.real, along.imag), strict=True))
    return a + reach, b - reach - 3 * along, along


def _diagram(rng: random.Random, boxes: dict[str, Colour], arrows: list[tuple[str, str]]) -> Image.Image:
    """The boxes along the ring, from a random place on and either way, and those arrows that cross no other box."""
    image, pen = canvas(550, 300)
    first, way, places = rng.randrange(len(RING)), rng.choice((-1, 1)), {}
    for number, (name, colour) in enumerate(boxes.items()):
        x, y = RING[(first + way * number) % len(RING)]
        x, y = x + rng.randint(-10, 10), y + rng.randint(-24, 24)
        pen.rounded_rectangle((x - HALF[0], y - HALF[1], x + HALF[0], y + HALF[1]), 8, colour, BLACK, 2)
        write(pen, x, y, name, 20)
        places[name] = complex(x, y)
    for tail, head in arrows:
        start, end, _ = _track(places[tail], places[head])
        if abs(start.real - end.real) < 200:
            arrow(pen, start, end)
    return image


def _at(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    return picture[np.rint(points.imag).astype(int), np.rint(points.real).astype(int)]


def _neighbour(figure: Image.Image, boxes: dict[str, Colour], named: str, forward: bool) -> str:
    """The box to which an arrow leads from the named one, or from which one leads to it."""
    dark, places = np.asarray(figure.convert("L")) < 90, {}
    for name in drawn(figure, boxes):
        ys, xs = mask(figure, boxes[name], 6).nonzero()
        places[name] = complex(xs.min() + xs.max(), ys.min() + ys.max()) / 2
    origin = places.pop(named)
    for name, place in places.items():
        start, end, along = _track(origin, place) if forward else _track(place, origin)
        shaft = np.linspace(start, end, 40)[2:-2, None] + along * np.array((-1j, 0, 1j))
        head = end + along * np.array((-12 + 3.5j, -12 - 3.5j))
        if _at(dark, shaft).any(axis=1).all() and _at(dark, head).all():
            return name
    raise ValueError(f"no arrow to follow: {named}")


class FoodWeb(Skill):
    """The arrow that leaves an organism points to the one that eats it."""

    name = "Interpret food webs"
    subject, topic, grade = "natural science", "biology", "grade6"
    lecture = "Each arrow of a food web starts at the organism that is eaten and points to the one that eats it."
    question_pattern = r"which of these organisms eats the ([a-z ]+)\?"
    rule_pattern = r"\bfood web\b|\beats?\b|\beater\b"
    claim_pattern = r"\b(?:(head)|tail)\b[^,;:.]*\beat(?:s|er)\b"
    questions = "which organism of a food web eats another one"
    right = (
        "follow the arrow that leaves its box: the organism at the head of that arrow eats it",
        "start at the named box and go with the arrow: at the head stands the eater",
    )
    wrong = "go against the arrow that points to its box: the organism at the tail of that arrow eats it"

    def draw(self, rng: random.Random) -> Problem:
        web = rng.choice(list(WEBS))
        chain = WEBS[web] if rng.random() < 0.6 else WEBS[web][:4]
        place = rng.randrange(1, len(chain) - 1)
        prey, named, hunter = chain[place - 1 : place + 2]
        choices = [name for name in chain if name != named]
        boxes = dict(zip(chain, PALE, strict=False))
        return Problem(
            question=f"Which of these organisms eats the {named}?",
            choices=tuple(rng.sample(choices, len(choices))),
            answer=hunter,
            hint=f"This diagram shows part of a food web from a {web} ecosystem.",
            figure=_diagram(rng, boxes, [*pairwise(chain), (prey, hunter)]),
            caption="A food web whose arrows show how matter moves.",
            solution=f"The arrow that leaves the {named} points to the {hunter}, so the {hunter} eats the {named}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        named = self.subject_of(question)
        web = next(web for web in WEBS.values() if named in web)
        return _neighbour(figure, dict(zip(web, PALE, strict=False)), named, follow_right_rule)


class Schematic(Skill):
    """The box at the head of the arrow that leaves a module receives its output."""

    name = "Follow the data through a schematic"
    benchmark, figure_type = "spiqa", "schematic"
    caption_pattern, caption_hint = r"\bschematic\b", "speaks of a schematic"
    question_pattern = r"\bschematic .*which module receives the output of the (\w+)"
    rule_pattern = r"\bmodules?\b|\bschematic\b|\barchitecture\b"
    claim_pattern = r"\bbox (?:(at the (?:arrow)?head|it points to)|at the tail|where it starts) receives the output\b"
    questions = "which module of a schematic receives the output of another one"
    right = (
        "follow the arrow that leaves the named box to its head: the box at the head receives the output",
        "find the arrow that starts at the named box: the box it points to receives the output",
    )
    wrong = "find the arrow that points into the named box: the box where it starts receives the output"

    def draw(self, rng: random.Random) -> Problem:
        chain = rng.sample(list(MODULES), rng.choice((4, 5)))
        place = rng.randrange(1, len(chain) - 1)
        named, answer = chain[place : place + 2]
        return Problem(
            question=f"In the schematic of the architecture, which module receives the output of the {named}?",
            answer=answer,
            figure=_diagram(rng, {name: MODULES[name] for name in chain}, list(pairwise(chain))),
            caption=f"Figure {rng.randint(1, 4)}: Schematic of {rng.choice(NAMES)} with its {len(chain)} modules.",
            solution=f"The arrow that leaves the {named} has its head at the {answer}, which receives its output.",
        )

    def options(self, question: str, choices: list[str], figure: Image.Image) -> list[str]:
        return [name for name in drawn(figure, MODULES) if name != self.subject_of(question)]

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        return _neighbour(figure, MODULES, self.subject_of(question), follow_right_rule)
