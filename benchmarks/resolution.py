"""What conflict resolution does with the simulated models on the generated sample: the machinery, not the method.

    python benchmarks/resolution.py                          # all parts
    python benchmarks/resolution.py --part errors --seeds 1  # some

errors       teachers that are wrong 0, 20 and 50% of the time: test scores of the clustered rules and of what is
             returned.
adversarial  a teacher whose every rule and edit is wrong: validation scores of the student as it came and of what is
             returned.
use          24 rules of which the truth is known: their use found by groups and by leaving each one out.
tokens       smaller token budgets.
predictors   SPIQA with a predictor that finds the figure: what each predictor's rules are worth.

The same in each run. A figure is drawn for each question, so that all parts take some minutes.
"""

import argparse
import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dspy
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from pld_dspy import PLDTeleprompter, RuleSet
from pld_dspy.clustering import tfidf
from pld_dspy.datasets import load
from pld_dspy.programs import SPIQA, ScienceQA
from pld_dspy.rehearsal import rehearsal_lm
from pld_dspy.rehearsal.skills import SKILLS
from pld_dspy.resolution.diagnosis import by_likeness
from pld_dspy.resolution.rule_use import measure_use
from pld_dspy.run.runner import Runner
from pld_dspy.run.usage import count_tokens
from pld_dspy.student.evaluation import Evaluator
from pld_dspy.student.instructions import instruct

PARTS = ("errors", "adversarial", "use", "tokens", "predictors")
RULES = TypeAdapter(dict[str, RuleSet])
SIZES = {"train": 120, "val": 60, "test": 120}


class Compiled(NamedTuple):
    """A compiled program and fractions of the test split."""

    program: dspy.Module
    before: float
    clustered: float
    after: float


def test_score(program: dspy.Module, seed: int) -> float:
    tests = load(program.dataset, "test", limit=SIZES["test"], seed=seed)
    return Evaluator(program.metric, Runner(2))(program, tests, "testing").score


def compiled(student: dspy.Module, seed: int, error_rate: float, sizes: dict[str, int] = SIZES, **settings) -> Compiled:
    train, val = (load(student.dataset, split, limit=sizes[split], seed=seed) for split in ("train", "val"))
    with dspy.context(lm=rehearsal_lm(seed, error_rate)), tempfile.TemporaryDirectory() as folder:
        teleprompter = PLDTeleprompter(seed=seed, num_threads=2, log_dir=Path(folder) / "run", **settings)
        program = teleprompter.compile(student, trainset=train, valset=val)
        clustered = RULES.validate_json((Path(folder) / "run/rules/000.json").read_bytes())
        first = instruct(student, clustered)
        return Compiled(program, *(test_score(each, seed) for each in (student, first, program)))


def errors(seeds: int) -> Iterator[Table | str]:
    for make in (ScienceQA, SPIQA):
        table = Table(
            "seed", title=f"{make.dataset}: test accuracy in percent, n = {SIZES['test']}", title_justify="left"
        )
        for rate in (0, 20, 50):
            table.add_column(f"{rate}% wrong:\nclustered", justify="right")
            table.add_column("returned", justify="right")
        rows = []
        for seed in range(seeds):
            found = [compiled(make(), seed, rate) for rate in (0.0, 0.2, 0.5)]
            rows.append([score for each in found for score in (each.clustered, each.after)])
            table.add_row(str(seed), *(f"{100 * score:.1f}" for score in rows[-1]))
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        table.add_section()
        table.add_row("median", *(f"{100 * score:.1f}" for score in medians))
        yield table
        yield f"At 20% {100 * medians[3] / medians[1]:.1f}% of what a faultless teacher reaches."


def adversarial(seeds: int) -> Iterator[Table | str]:
    table = Table(
        "seed", "student", "clustered", "returned", "rules", title="Validation accuracy", title_justify="left"
    )
    worse = 0
    for seed in range(4 * seeds):
        found = compiled(ScienceQA(), seed, 1.0, {"train": 40, "val": 30}).program.pld
        scores = found.validation
        worse += scores["compiled"] < scores["student"]
        cells = [f"{100 * scores[stage]:.1f}" for stage in ("student", "clustered", "compiled")]
        table.add_row(str(seed), *cells, str(sum(map(len, found.rules.values()))))
    yield table
    yield f"{worse} of {4 * seeds} worse than the student as it came."


def known_rules(rng: random.Random) -> RuleSet:
    """24 rules: of each ScienceQA skill a right one; before three of them a wrong one; after three of them a second
    right one; the others are about other questions."""
    own = [skill for skill in SKILLS if skill.benchmark == "scienceqa"]
    others = [skill for skill in SKILLS if skill.benchmark != "scienceqa"]
    texts = [skill.wording(rng, False) for skill in own[:3]] + [skill.wording(rng, True) for skill in own]
    texts += [skill.wording(rng, True) for skill in own[3:6]]
    while len(texts) < 24:
        text = rng.choice(others).wording(rng, True)
        texts += [text] * (text not in texts)
    return RuleSet.of((text, ()) for text in texts)


def use(seeds: int) -> Iterator[Table | str]:
    columns = ("seed", "rules", "helpful", "harmful", "idle", "agree", "answers by groups", "one by one", "share")
    table = Table(*columns, title="Use of rules on 60 questions", title_justify="left")
    for seed in range(seeds):
        student, rules = ScienceQA(), known_rules(random.Random(seed))
        valset = load("scienceqa", "val", limit=60, seed=seed)
        counted = []

        def scores(without, places, student=student, rules=rules, valset=valset, counted=counted):
            counted.extend(places)
            program = instruct(student, {"answer": rules.keep({rule.id for rule in rules.rules} - {*without})})
            part = [valset[place] for place in places]
            return [item.score for item in Evaluator(student.metric, Runner(2))(program, part, "using").items]

        with dspy.context(lm=rehearsal_lm(seed)):
            full, counted[:] = scores((), range(60)), []
            grouped, n_grouped = measure_use(by_likeness(rules, tfidf), full, scores), len(counted)
            alone = {}
            for rule in rules.rules:
                alone |= measure_use([rule.id], full, scores)
        gains = [of.gain for of in alone.values()]
        counts = [sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains), sum(gain == 0 for gain in gains)]
        agree = sum(grouped[id] == alone[id] for id in alone)
        one_by_one = len(counted) - n_grouped
        table.add_row(
            str(seed), str(len(rules)), *map(str, counts), str(agree), str(n_grouped), str(one_by_one),
            f"{100 * n_grouped / one_by_one:.0f}%",
        )  # fmt: skip
    yield table


def tokens(seeds: int) -> Iterator[Table | str]:
    table = Table(
        "program", "seed", "budget", "rules", "tokens", "test", title="Token budgets, n = 120", title_justify="left"
    )
    for make in (ScienceQA, SPIQA):
        for seed in range(min(seeds, 3)):
            budget, held = 2_000, 0
            for halving in (2_000, 1_000, None):
                budget = halving or held // 2
                found = compiled(make(), seed, 0.2, max_rule_tokens=budget)
                rules = found.program.pld.in_prompt.values()
                held = sum(count_tokens("rehearsal", of.render()) for of in rules)
                cells = (make.dataset, seed, budget, sum(map(len, rules)), held, f"{100 * found.after:.1f}")
                table.add_row(*map(str, cells))
    yield table
    yield "The last budget of each is half of what the rules before it take: there each skill needs a rule of its own."


def predictors(seeds: int) -> Iterator[Table | str]:
    title = "SPIQA with retrieval: test accuracy, and with one predictor's rules taken away, n = 120"
    table = Table(
        "seed", "student", "returned", "without find's", "without answer's", title=title, title_justify="left"
    )
    for seed in range(seeds):
        student = SPIQA(retrieval=True)
        found = compiled(student, seed, 0.2)
        rules = found.program.pld.in_prompt
        with dspy.context(lm=rehearsal_lm(seed)):
            without = [
                test_score(instruct(student, {name: of for name, of in rules.items() if name != left_out}), seed)
                for left_out in ("find", "answer")
            ]
        table.add_row(str(seed), *(f"{100 * score:.1f}" for score in (found.before, found.after, *without)))
    yield table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="repeatable; default: all")
    parser.add_argument("--seeds", type=int, default=5, help="seeds from 0 on; four times as many for adversarial")
    arguments = parser.parse_args()
    console = Console(width=110, highlight=False)
    console.print("Simulated models.")
    for part in arguments.part or PARTS:
        console.rule(part, align="left")
        for one in globals()[part](arguments.seeds):
            console.print(one)


if __name__ == "__main__":
    main()
