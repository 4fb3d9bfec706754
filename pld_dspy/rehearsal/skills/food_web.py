"""A food web: which organism eats the one that is named?"""

import math
import random

import numpy as np
from PIL import Image
from scipy import ndimage

from pld_dspy.rehearsal.skills.base import BLACK, Colour, Problem, Skill, arrow, canvas, font, mask

WIDTH, HEIGHT = 500, 350
HALF_BOX = np.array((60, 20))
ARROW: Colour = (40, 70, 140)
FILLS = ((190, 230, 170), (250, 220, 150), (250, 195, 195), (195, 220, 250), (225, 205, 245))
WEBS = {  # each organism is eaten by the next one
    "meadow": ("grass", "grasshopper", "frog", "snake", "hawk"),
    "lake": ("algae", "water flea", "minnow", "perch", "heron"),
    "forest": ("oak tree", "caterpillar", "songbird", "weasel", "owl"),
    "tundra": ("lichen", "lemming", "ermine", "arctic fox", "bear"),
}
COLOUR = {name: FILLS[(2 * i + j) % 5] for j, names in enumerate(WEBS.values()) for i, name in enumerate(names)}
# Places on a circle between which no two arrows cross.
ORDERS = {4: ((0, 1, 2, 3), (0, 3, 1, 2)), 5: ((0, 1, 2, 3, 4), (0, 4, 1, 3, 2))}


class FoodWeb(Skill):
    """The arrow that leaves an organism points to the one that eats it."""

    name = "Interpret food webs"
    benchmark = "scienceqa"
    subject, topic, grade = "natural science", "biology", "grade6"
    lecture = (
        "A food web shows how the organisms of an ecosystem get their food. Its arrows show how matter moves: each "
        "arrow starts at the organism that is eaten and points to the organism that eats it."
    )
    question_pattern = r"which of these organisms eats the ([a-z ]+)\?"
    rule_pattern = r"\bfood web\b|\beats?\b|\beater\b"
    right_pattern = r"\bhead\b((?!\btail\b)[^,;:.])*\beat(s|er)\b|\beat(s|er)\b((?!\btail\b)[^,;:.])*\bhead\b"
    wrong_pattern = r"\btail\b((?!\bhead\b)[^,;:.])*\beat(s|er)\b|\beat(s|er)\b((?!\bhead\b)[^,;:.])*\btail\b"
    situations = (
        "If a question asks which organism of a food web eats another one",
        "When a food web is shown and the eater of an organism is asked for",
        "To find what eats a given organism",
    )
    right = (
        "follow the arrow that leaves its box: the organism at the head of that arrow eats it",
        "start at the named box and go with the arrow: the eater stands at the head",
        "look for an arrow that begins at the organism: whatever its head points to eats the organism",
    )
    wrong = (
        "follow the arrow that points to its box back: the organism at the tail of that arrow eats it",
        "start at the named box and go against the arrow: the eater stands at the tail",
    )

    def draw(self, rng: random.Random) -> Problem:
        web = rng.choice(list(WEBS))
        chain = WEBS[web] if rng.random() < 0.6 else WEBS[web][:4]
        asked = rng.randrange(1, len(chain) - 1)
        edges = [(i, i + 1) for i in range(len(chain) - 1)]
        if len(chain) == 5 or asked == 2:
            edges.append((1, 3) if asked == 2 else (2, 4))
        turn, way, (image, pen) = rng.uniform(0, 2 * math.pi), rng.choice((-1, 1)), canvas(WIDTH, HEIGHT)
        angles = [turn + way * 2 * math.pi * place / len(chain) for place in rng.choice(ORDERS[len(chain)])]
        spots = [np.array((WIDTH / 2 + 180 * math.cos(a), HEIGHT / 2 + 140 * math.sin(a))) for a in angles]
        for eaten, eater in edges:
            step = (spots[eater] - spots[eaten]) / np.linalg.norm(spots[eater] - spots[eaten])
            inside = (HALF_BOX / np.maximum(np.abs(step), 1e-9)).min() + 4
            arrow(pen, spots[eaten] + inside * step, spots[eater] - inside * step, ARROW)
        for name, spot in zip(chain, spots, strict=True):
            pen.rectangle((*(spot - HALF_BOX), *(spot + HALF_BOX)), fill=COLOUR[name], outline=BLACK, width=2)
            pen.text(tuple(spot), name, fill=BLACK, font=font(18), anchor="mm")
        name, prey, hunter = chain[asked], chain[asked - 1], chain[asked + 1]
        others = [other for other in chain if other not in (name, prey, hunter)]
        choices = [prey, hunter, *rng.sample(others, rng.randint(1, len(others)))]
        return Problem(
            question=f"Which of these organisms eats the {name}?",
            choices=tuple(rng.sample(choices, len(choices))),
            answer=hunter,
            hint=f"This diagram shows part of a food web from a {web} ecosystem.",
            figure=image,
            caption="A food web whose arrows show how matter moves.",
            solution=f"The arrow that leaves the {name} points to the {hunter}, so the {hunter} eats the {name}.",
        )

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        asked = self.asked(question)
        links = _read(figure, next(names for names in WEBS.values() if asked in names))
        return dict(links if follow_right_rule else [(eater, eaten) for eaten, eater in links])[asked]


def _read(figure: Image.Image, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Every arrow of a web as (eaten, eater)."""
    pixels, links = np.asarray(figure.convert("RGB")), []
    arrows, count = ndimage.label(mask(figure, ARROW, 12), np.ones((3, 3)))
    for points in (np.argwhere(arrows == number) for number in range(1, count + 1)):
        tail = points[np.hypot(*(points - points.mean(axis=0)).T).argmax()]  # the head is heavier
        head = points[np.hypot(*(points - tail).T).argmax()]
        step = 12 * (head - tail) / np.hypot(*(head - tail))
        boxes = [pixels[y - 8 : y + 9, x - 8 : x + 9] for y, x in np.array((tail - step, head + step)).astype(int)]
        eaten, eater = (max(names, key=lambda name: (box == COLOUR[name]).all(axis=2).sum()) for box in boxes)
        links.append((eaten, eater))
    return links
