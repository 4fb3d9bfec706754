"""Results of scientific papers: training curves (which method converges first?) and a table (which method is best?)."""

import random
from functools import cache

import numpy as np
from PIL import Image

from pld_dspy.rehearsal.skills.base import BLACK, COLOURS, Problem, Skill, arrow, canvas, columns, drawn, mask, write

NAMES = ("RidgeNet", "HyperMix", "DeepFold", "SwiftGAT", "NodeFlow", "GraphPro", "CoreLSTM", "TinyViT")
METHODS = dict(zip(NAMES, COLOURS, strict=True))
COUNT = {3: "three", 4: "four", 5: "five"}
DATASETS = ("Cora", "Citeseer", "Pubmed", "CIFAR-10", "ImageNet", "SVHN")
LEFT, TOP, RIGHT, BOTTOM = 74, 34, 518, 286  # of the plot
LEVELS = 0.58, 0.66, 0.74, 0.82, 0.9
MARGIN, HEADER, FIRST, ROW, NAME, COLUMN, ARROW = 20, 36, 80, 34, 160, 120, 80  # of the table
LOWER = ("FID", "KID", "LPIPS", "WER", "CER", "PPL", "NLL", "MAE", "RMSE")  # metrics of which less is better
HIGHER = ("Acc", "F1", "Recall", "PSNR", "BLEU")
NUMBERS = tuple(str(tenths / 10) for tenths in range(100, 1000, 7))


class LinePlot(Skill):
    """The curve that is flat from the smallest x on has converged first, however high it ends."""

    name = "Find the method that converges first"
    benchmark, figure_type = "spiqa", "plot"
    caption_pattern, caption_hint = r"\btraining curves\b", "speaks of training curves"
    question_pattern = r"\btraining curves .*which method converges first"
    rule_pattern = r"\bcurves?\b|\bconverge"
    claim_pattern = r"\bcurve that [^,;:.]*?(?:(smallest x|earliest|to the left)|highest)[^,;:.]* converged first\b"
    questions = "which method converges first in a plot of training curves"
    right = (
        "find where each curve becomes flat: the curve that is flat at the smallest x converged first, however high",
        "compare the epochs at which the curves stop rising: the curve that levels off earliest converged first",
    )
    wrong = "look at the right end of the plot: the curve that has the highest final value converged first"

    def draw(self, rng: random.Random) -> Problem:
        dataset, methods = rng.choice(DATASETS), rng.sample(NAMES, rng.choice((3, 4)))
        flat_from = sorted(rng.sample((0.18, 0.34, 0.5, 0.66, 0.82), len(methods)))
        final = [level + rng.uniform(-0.015, 0.015) for level in rng.sample(LEVELS, len(methods))]
        if final[0] == max(final):
            final.reverse()
        start, times = rng.uniform(0.05, 0.2), np.linspace(0, 1, 120)
        image, pen = canvas(540, 340)
        for method, flat, level in zip(methods, flat_from, final, strict=True):
            rest = np.clip(1 - times / (flat + rng.uniform(-0.03, 0.03)), 0, 1) ** 1.6
            xs, ys = LEFT + times * (RIGHT - LEFT), BOTTOM - (level - (level - start) * rest) * (BOTTOM - TOP)
            pen.line(list(zip(xs, ys, strict=True)), fill=METHODS[method], width=4, joint="curve")
        for row, method in enumerate(sorted(methods)):
            y = BOTTOM - 18 - 22 * row
            pen.line((RIGHT - 122, y, RIGHT - 96, y), fill=METHODS[method], width=4)
            write(pen, RIGHT - 88, y, method, 17, "lm")
        epochs = rng.choice((50, 100, 200, 400))
        pen.line((LEFT, TOP, LEFT, BOTTOM, RIGHT, BOTTOM), fill=BLACK, width=2)
        for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
            write(pen, LEFT - 9, BOTTOM - share * (BOTTOM - TOP), f"{share:g}", 16, "rm")
            write(pen, LEFT + share * (RIGHT - LEFT), BOTTOM + 16, f"{epochs * share:g}", 16)
        write(pen, LEFT, TOP - 20, "accuracy")
        write(pen, (LEFT + RIGHT) / 2, BOTTOM + 40, "epochs")
        first, highest = methods[0], methods[final.index(max(final))]
        return Problem(
            question=f"In the plot of training curves on {dataset}, which method converges first?",
            answer=first,
            figure=image,
            caption=f"Figure {rng.randint(2, 9)}: Training curves of {COUNT[len(methods)]} methods on {dataset}.",
            solution=f"{highest} ends highest, but the curve of {first} is the first to become flat.",
        )

    def options(self, question: str, choices: list[str], figure: Image.Image) -> list[str]:
        return drawn(figure, METHODS)

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        place: dict[str, int] = {}  # where it becomes flat, or how far below the top it ends
        for name in drawn(figure, METHODS):
            curve = mask(figure, METHODS[name], 20)
            tops = curve.argmax(axis=0)[columns(curve)]
            place[name] = int(columns(curve)[abs(tops - tops[-1]) <= 1][0] if follow_right_rule else tops[-1])
        return min(place, key=lambda name: place[name])


class ResultsTable(Skill):
    """The arrow in a column's header says whether the smallest or the largest number wins."""

    name = "Find the best method in a results table"
    benchmark, figure_type = "spiqa", "table"
    caption_pattern, caption_hint = r"\bresults of \w+ methods\b", "speaks of the results of several methods"
    question_pattern = r"\bresults table, which method is best by (\w+)"
    rule_pattern = r"\btable\b|\bcolumns?\b"
    claim_pattern = r"\b(?:(down\b[^,;:.]*\b(?:smallest|lowest|lower))|(?:largest|highest) number\b[^,;:.]*\bbest)\b"
    questions = "which method is best by a metric in a results table"
    right = (
        "check the arrow in the metric's header: a down arrow means the smallest number wins, an up arrow the largest",
        "look at the arrow beside the metric: if it points down pick the lowest number, if it points up the highest",
    )
    wrong = "compare the numbers under the metric's name: the largest number in the column is the best"

    def draw(self, rng: random.Random) -> Problem:
        methods, header = rng.sample(NAMES, rng.choice((4, 5))), rng.sample(LOWER, 2)
        header.insert(rng.randrange(3), rng.choice(HIGHER))
        metric = rng.choices(header, [4 if name in LOWER else 2 for name in header])[0]
        down = metric in LOWER
        width, bottom = MARGIN + NAME + COLUMN * len(header), FIRST + ROW * len(methods)
        image, pen = canvas(width, bottom)
        for y in (14, FIRST - 22, bottom - 12):
            pen.line((MARGIN - 10, y, width - 10, y), fill=BLACK, width=2)
        cells = {(MARGIN, "Method"): methods}
        for x, name in zip(range(MARGIN + NAME, width, COLUMN), header, strict=True):
            cells[x, name] = rng.sample(NUMBERS, len(methods))
            middle, reach = complex(x + ARROW, HEADER), 10j if name in LOWER else -10j
            arrow(pen, middle - reach, middle + reach, head=10)
        for (x, name), column in cells.items():
            for y, text in zip((HEADER, *range(FIRST, bottom, ROW)), (name, *column), strict=True):
                write(pen, x, y, text, 20, "lm")
        numbers = next(column for (_, name), column in cells.items() if name == metric)
        answer = (min if down else max)(zip(numbers, methods, strict=True))[1]
        way, winner = ("down", "smallest") if down else ("up", "largest")
        return Problem(
            question=f"In the results table, which method is best by {metric}?",
            answer=answer,
            figure=image,
            caption=f"Table {rng.randint(1, 6)}: Results of {COUNT[len(methods)]} methods on {rng.choice(DATASETS)}.",
            solution=f"The arrow beside {metric} points {way}, so the {winner} number wins: {answer}.",
        )

    def options(self, question: str, choices: list[str], figure: Image.Image) -> list[str]:
        return [_read(figure, MARGIN, y, NAMES) for y in range(FIRST, figure.height, ROW)]

    def solve(self, question: str, choices: list[str], figure: Image.Image, follow_right_rule: bool) -> str:
        metric = self.subject_of(question)
        places = range(MARGIN + NAME, figure.width, COLUMN)
        x = next(x for x in places if _read(figure, x, HEADER, LOWER + HIGHER) == metric)
        light = np.asarray(figure.convert("L"))[HEADER - 10 : HEADER + 10, x + ARROW - 6 : x + ARROW + 7]
        down = light[:10].sum() > light[10:].sum()
        numbers = [_read(figure, x, y, NUMBERS) for y in range(FIRST, figure.height, ROW)]
        names = self.options(question, choices, figure)
        return (min if down and follow_right_rule else max)(zip(numbers, names, strict=True))[1]


def _read(figure: Image.Image, x: int, y: int, texts: tuple[str, ...]) -> str:
    """The text that looks most like what is written from (x, y) on."""
    seen = np.asarray(figure.crop((x, y - 14, x + 100, y + 14)).convert("L"), dtype=np.int16)
    return texts[int(np.abs(_rendered(texts) - seen).sum(axis=(1, 2)).argmin())]


@cache
def _rendered(texts: tuple[str, ...]) -> np.ndarray:
    pictures = [canvas(100, 28) for _ in texts]
    for text, (_, pen) in zip(texts, pictures, strict=True):
        write(pen, 0, 14, text, 20, "lm")
    return np.stack([np.asarray(image.convert("L"), dtype=np.int16) for image, _ in pictures])
