"""What the teacher is shown of the student: failures and successes, drawn by a seeded, stratified plan."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import dspy
import numpy as np

from pld_dspy.context import Rules
from pld_dspy.examples import answer_fields, blank, example_id, present
from pld_dspy.rules import HEADER, Rule, RuleSet
from pld_dspy.student import Scored, in_words, same_answer, value_of

Pair = tuple[tuple[str, str], tuple[str, str]]  # two rules, each as its id and text
FOLLOWED = "rule_followed"

Embed = Callable[[Sequence[str]], np.ndarray]


class Answered(NamedTuple):
    """A training example, what the student made of it, and the rules that it says to have followed, by predictor."""

    example: dspy.Example
    scored: Scored
    followed: Mapping[str, str] = {}


def stratified(strata: Sequence[Sequence[str]], n: int, rng: random.Random) -> list[int]:
    """Draw examples so that every value of every attribute has about its share, early draws included.

    Args:
        strata: for each example its values, as "subject=biology"; an example may have any number of them.
        n: how many to draw; all are drawn where there are fewer.
        rng: breaks ties.

    Returns:
        Positions of the drawn examples, in the order of drawing.
    """
    total = Counter(value for values in strata for value in values)
    drawn: Counter[str] = Counter()
    pool = rng.sample(range(len(strata)), len(strata))
    found: list[int] = []
    while pool and len(found) < n:
        share = (len(found) + 1) / len(strata)

        def missing(position: int, share: float = share) -> float:
            values = strata[position]
            return sum(share * total[value] - drawn[value] for value in values) / max(len(values), 1)

        best = max(pool, key=missing)
        pool.remove(best)
        found.append(best)
        drawn.update(strata[best])
    return found


def strata_values(example: dspy.Example, fields: Sequence[str], rules: Rules) -> list[str]:
    """What an example is drawn by: its labels, whether it has figures, and the rules that come from it.

    Args:
        example: a labelled example.
        fields: names of the labels, as `student.strata_of` gives them.
        rules: by predictor.
    """
    values = [f"{field}={value_of(example, field)}" for field in fields]
    values.append(f"figures={bool(present(dict(example.inputs())).figures)}")
    return values + [f"rule={name}/{rule.id}" for name, rule in rules_from(example, rules)]


def in_front(examples: Sequence[dspy.Example], fields: Sequence[str], n: int, seed: int) -> list[dspy.Example]:
    """The same examples, in front n that have about the shares of the whole."""
    drawn = stratified([strata_values(example, fields, {}) for example in examples], n, random.Random(seed))
    return [examples[position] for position in (*drawn, *(set(range(len(examples))) - {*drawn}))]


def rules_from(example: dspy.Example, rules: Rules) -> list[tuple[str, Rule]]:
    """The rules that were written from an example, which are those that should fire on it, with their predictors."""
    id = example_id(example)
    return [(name, rule) for name, ruleset in rules.items() for rule in ruleset.rules if id in rule.examples]


def failed(fields: Mapping[str, Any], answered: Answered) -> bool:
    """Whether a predictor had a part in a failure: not if all its own labelled outputs, of these types, were right."""
    if answered.scored.passed:
        return False
    labels = answered.example.labels()
    own = [name for name in fields if not blank(labels.get(name))]
    outputs = answered.scored.outputs
    return not own or not all(same_answer(fields[name], labels[name], outputs.get(name)) for name in own)


def batches(
    answered: Sequence[Answered], predictor: str, program: dspy.Module, rules: Rules, failures: int, successes: int
) -> Iterator[tuple[list[Answered], list[Answered]]]:
    """Failures of a predictor a few at a time, like ones together, each batch with the successes that are most alike.

    Args:
        answered: training examples with the student's answers.
        predictor: its name.
        program: the student.
        rules: by predictor.
        failures: most failures of a batch.
        successes: most successes of a batch.
    """
    fields = answer_fields(program)[predictor]

    def about(answer: Answered) -> set[str]:
        own = {rule.id for name, rule in rules_from(answer.example, rules) if name == predictor}
        return own | ({answer.followed.get(predictor, "")} - {""})

    wrong = [answer for answer in answered if failed(fields, answer)]
    right = [answer for answer in answered if answer.scored.passed]
    alike: dict[tuple[str, ...], list[Answered]] = defaultdict(list)
    for answer in wrong:
        alike[tuple(sorted(about(answer)))].append(answer)
    ordered = [answer for group in sorted(alike.values(), key=len, reverse=True) for answer in group]
    for start in range(0, len(ordered), failures):
        batch = ordered[start : start + failures]
        concerned = set().union(*map(about, batch))
        first = start // failures * successes % max(len(right), 1)
        nearest = sorted(right[first:] + right[:first], key=lambda answer: concerned.isdisjoint(about(answer)))
        yield batch, nearest[:successes]


def describe(
    program: dspy.Module, predictor: str, answered: Sequence[Answered], first_figure: int
) -> tuple[str, list[dspy.Image]]:
    """Questions with the student's and the right answer as text, and their figures, numbered on."""
    texts: list[str] = []
    figures: list[dspy.Image] = []
    for number, answer in enumerate(answered, start=1):
        case = present(dict(answer.example.inputs()), first_figure + len(figures))
        figures += case.figures
        followed = answer.followed.get(predictor)
        lines = [
            f"Question {number}",
            case.text,
            f"the model's answer: {answer.scored.answer or 'unreadable'}",
            *([f"the rule that it says to have followed: {followed}"] if followed else []),
            *([f"what the metric says of it: {answer.scored.feedback}"] if answer.scored.feedback else []),
            f"the right answer: {in_words(program, answer.example, answer.example.labels())}",
        ]
        texts.append("\n".join(lines))
    return "\n\n".join(texts) or "none", figures


def asking(student: dspy.Module, rules: Rules) -> dspy.Module:
    """The student for diagnosis: it reads the ids of its rules, and says which of them it followed.

    Args:
        student: without rules; it stays as it is.
        rules: those in the prompt, by predictor.
    """
    program = student.deepcopy()
    for name, predictor in program.named_predictors():
        if name in rules and len(rules[name]):
            listed = f"{predictor.signature.instructions}\n\n{HEADER}\n{rules[name].render(ids=True)}"
            field = dspy.OutputField(desc="the id of the rule that you followed, or none")
            predictor.signature = predictor.signature.with_instructions(listed).append(FOLLOWED, field, str)
    return program


def rule_named(reply: object, rules: RuleSet) -> str:
    """The id in a student's reply to which rule it followed; "" where it names none that there is."""
    ids = {rule.id for rule in rules.rules}
    return next((word for word in re.findall(r"\w+", str(reply)) if word in ids), "")


def like_pairs(rules: RuleSet, embed: Embed) -> Iterator[Pair]:
    """All pairs of rules, most alike first, each rule as its id and text."""
    if len(rules) < 2:
        return
    listed = [(rule.id, rule.text) for rule in rules.rules]
    vectors = embed([text for _, text in listed])
    first, second = np.triu_indices(len(listed), k=1)
    for place in np.argsort(-(vectors @ vectors.T)[first, second], kind="stable"):
        yield listed[first[place]], listed[second[place]]


def by_likeness(rules: RuleSet, embed: Embed) -> list[str]:
    """Ids in an order in which like rules stand beside each other: the leaves of their average-linkage tree."""
    if len(rules) < 3:
        return [rule.id for rule in rules.rules]
    from scipy.cluster.hierarchy import leaves_list, linkage

    vectors = embed([rule.text for rule in rules.rules])
    tree = linkage(vectors, "average")  # of vectors of length one: Euclidean distances order them as cosines do
    return [rules.rules[leaf].id for leaf in leaves_list(tree)]
