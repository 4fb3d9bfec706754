"""A Punnett square: how likely is the recessive trait?"""

import random

from PIL import Image

from pld_dspy.rehearsal.skills.base import BLACK, BLUE, RED, Problem, Skill, canvas, font, mask

WIDTH, HEIGHT, CELL = 380, 340, 100
TRAITS = (  # organism, gene, dominant, recessive
    ("pea plants", "flower colour", "purple flowers", "white flowers"),
    ("fruit flies", "eye colour", "red eyes", "brown eyes"),
    ("guinea pigs", "coat texture", "a rough coat", "a smooth coat"),
    ("rabbits", "fur colour", "black fur", "white fur"),
    ("chickens", "comb shape", "a rose comb", "a single comb"),
    ("tomato plants", "fruit colour", "red fruit", "yellow fruit"),
    ("cucumber plants", "fruit texture", "rough fruit", "smooth fruit"),
)
CHOICES = ("0/4", "1/4", "2/4", "3/4", "4/4")
CROSSES = (  # those where the two rules differ, by how many of the four cells have the recessive trait: 1, 2 or 0
    ("Aa Aa",),
    ("Aa aa", "aa Aa"),
    ("AA Aa", "Aa AA", "AA aa", "aa AA"),
)


class PunnettSquare(Skill):
    """An offspring has the recessive trait only if both of its letters are small."""

    name = "Use Punnett squares to calculate probabilities of offspring types"
    benchmark = "scienceqa"
    subject, topic, grade = "natural science", "biology", "grade8"
    lecture = (
        "A Punnett square shows the genotypes that the offspring of two parents can have. A dominant allele is written "
        "with a capital letter and a recessive one with a small letter. An offspring shows the recessive trait only if "
        "it has two recessive alleles. Each of the four cells is equally likely."
    )
    question_pattern = r"probability that .*offspring .*recessive trait"
    rule_pattern = r"\boffspring\b|\bpunnett\b"
    right_pattern = r"\b(two|both) (letters )?(are )?(small|lower-case|recessive)\b"
    wrong_pattern = r"\bat least one (small|lower-case|recessive)\b|\bone or more (small|lower-case|recessive)\b"
    situations = (
        "If a question asks for the probability that an offspring has the recessive trait",
        "When a Punnett square is shown and the recessive trait is asked for",
        "To find how likely the recessive trait is in a Punnett square",
    )
    right = (
        "count only the cells with two small letters and put that number over four",
        "find the cells whose letters are both small and give their share of the four: one capital hides the trait",
        "a cell counts only if it holds two recessive alleles: the answer is the number of such cells out of four",
    )
    wrong = (
        "count every cell with at least one small letter and put that number over four",
        "a cell counts if it holds one or more recessive alleles: the answer is the number of such cells out of four",
    )

    def draw(self, rng: random.Random) -> Problem:
        organism, gene, dominant, recessive = rng.choice(TRAITS)
        letter, x0, y0 = rng.choice("ABDEFGHNQRT"), rng.randint(125, 165), rng.randint(85, 115)
        parents = ["".join(rng.sample(parent, 2)) for parent in rng.choice(rng.choice(CROSSES)).split()]
        image, pen = canvas(WIDTH, HEIGHT)

        def write(alleles: str, x: float, y: float) -> None:
            for index, allele in enumerate(alleles):
                text, colour = (letter, BLUE) if allele == "A" else (letter.lower(), RED)
                spot = (x + 24 * (index - (len(alleles) - 1) / 2), y)
                pen.text(spot, text, fill=colour, font=font(36), anchor="ms")

        pen.text((x0 + CELL, 14), "parent 1", fill=BLACK, font=font(18), anchor="mt")
        pen.text((10, y0 + CELL), "parent 2", fill=BLACK, font=font(18), anchor="lm")
        for i, one in enumerate(parents[0]):
            write(one, x0 + CELL * (i + 0.5), y0 - 12)
            write(parents[1][i], x0 - 22, y0 + CELL * (i + 0.5) + 13)
            for j, other in enumerate(parents[1]):
                x, y = x0 + CELL * i, y0 + CELL * j
                pen.rectangle((x, y, x + CELL, y + CELL), outline=BLACK, width=2)
                write("".join(sorted(one + other)), x + CELL / 2, y + CELL / 2 + 13)
        answer, by_wrong_rule = (self._probability(parents, needed) for needed in (2, 1))
        others = [choice for choice in CHOICES if choice not in (answer, by_wrong_rule)]
        return Problem(
            question="What is the probability that an offspring of this cross has the recessive trait?",
            choices=tuple(rng.sample([answer, by_wrong_rule, *rng.sample(others, 2)], 4)),
            answer=answer,
            hint=f"In these {organism}, the gene for {gene} has two alleles. The allele for {dominant} ({letter}) is "
            f"dominant over the allele for {recessive} ({letter.lower()}).",
            figure=image,
            caption="A Punnett square of two parents and their possible offspring.",
            solution=f"Only offspring with the genotype {2 * letter.lower()} have {recessive}. "
            f"That is the case in {answer[0]} of the 4 cells, so the probability is {answer}.",
        )

    @staticmethod
    def _probability(parents: list[str], needed: int) -> str:
        """The share of the four cells that have so many recessive alleles or more."""
        return f"{sum((one + other).count('a') >= needed for one in parents[0] for other in parents[1])}/4"

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        black = mask(figure, BLACK, 5)
        left, top = ((black.sum(axis=axis) > 1.9 * CELL).argmax() for axis in (0, 1))
        small, capital = mask(figure, RED, 15), mask(figure, BLUE, 15)
        cells = [(slice(y, y + CELL), slice(x, x + CELL)) for x in (left, left + CELL) for y in (top, top + CELL)]
        return f"{sum(not capital[cell].any() if follow_right_rule else small[cell].any() for cell in cells)}/4"
