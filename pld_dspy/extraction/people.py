"""People's own rules: micro-rules that a person wrote, next to those that a teacher writes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ValidationError

from pld_dspy.errors import PLDError
from pld_dspy.rules import MicroRule, RuleSet, RuleText
from pld_dspy.rules.wording import Text

AUTHOR = "expert"  # of rules whose author is not named

Expertise = str | Path | RuleSet | Mapping[str, RuleSet] | Sequence[MicroRule]


class _Line(BaseModel, strict=True):
    """A line of a file of people's rules; what else it says is left out."""

    rule: RuleText
    example: Annotated[Text | None, BeforeValidator(lambda id: str(id) if type(id) is int else id)] = None
    predictor: str | None = None
    author: Text | None = None
    reasoning: Text | None = None


def expert_rules(source: Expertise, learners: Sequence[str]) -> list[MicroRule]:
    """Read people's own rules as micro-rules, which then are clustered and united like those of the teacher.

    A person's words are taken as they are, but for line breaks: what the teacher may not write is allowed here. Of a
    rule in a rule set, the first example and all authors are kept; its history and its measured use stay behind.

    Args:
        source: the path of a file with a JSON object on each line, {"rule": ...} and, where they are known, "example"
            (an example's id), "predictor", "author" and "reasoning"; or of a rule set as `RuleSet.write` or a run
            folder's rules/NNN.json has it. Or a rule set, rule sets by predictor, or micro-rules.
        learners: the names of the predictors that learn rules.

    Returns:
        A micro-rule for each line, or for each rule. Without names of their own their author is "expert", their example
        the author and the number of the line or the id of the rule, and their predictor the only one that learns.

    Raises:
        PLDError: the source cannot be read, holds no rule or a mixture, or does not say which predictor a rule is for.
    """
    if isinstance(source, str | Path):
        rules = _of_file(Path(source), learners)
    elif isinstance(source, RuleSet):
        rules = _of_sets({"": source}, learners, "the rule set")
    elif isinstance(source, Mapping):
        if not all(isinstance(ruleset, RuleSet) for ruleset in source.values()):
            raise PLDError("The expert rules are neither rule sets by predictor nor micro-rules: give one of these.")
        rules = _of_sets(source, learners, "The expert rules")
    else:
        rules = [_checked(rule, number, learners) for number, rule in enumerate(source, start=1)]
    if not rules:
        place = f" in {source}" if isinstance(source, str | Path) else ""
        raise PLDError(f"There is no expert rule{place}: give at least one, or leave expert rules out.")
    return rules


def _of_file(path: Path, learners: Sequence[str]) -> list[MicroRule]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors put a mark in front
    except OSError as error:
        raise PLDError(f"The expert rules {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PLDError(f"The expert rules {path} are no UTF-8 text: save the file as UTF-8.") from error
    try:
        by_name = _sets_in(json.loads(text))
    except (ValueError, RecursionError):
        by_name = {}  # several lines
    if by_name:
        sets = {name: _ruleset(value, f"{path}: {name}" if name else str(path)) for name, value in by_name.items()}
        return _of_sets(sets, learners, str(path))
    lines = enumerate(text.split("\n"), start=1)  # not splitlines: JSON may hold other line breaks
    return [_of_line(line, number, f"Line {number} of {path}", learners) for number, line in lines if line.strip()]


def _is_set(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("rules"), list)


def _sets_in(value: Any) -> dict[str, Any]:
    """The rule sets in JSON by predictor, or one by the name ""; none where it is anything else."""
    by_name = {"": value} if _is_set(value) else value
    return by_name if isinstance(by_name, dict) and all(map(_is_set, by_name.values())) else {}


def _ruleset(value: Any, where: str) -> RuleSet:
    try:
        return RuleSet.model_validate(value)
    except ValidationError as error:
        raise PLDError(f"{where} is not a rule set: {_first(error)}.") from error


def _of_line(line: str, number: int, where: str, learners: Sequence[str]) -> MicroRule:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        usage = 'write one object on each line, as {"rule": "If ..."}, or give a rule set as RuleSet.write writes it.'
        raise PLDError(f"{where} is no JSON: {usage}") from error
    if _sets_in(value):
        raise PLDError(f"{where} is a rule set, but the file has other lines: give micro-rules or one rule set.")
    if not (isinstance(value, dict) and "rule" in value):
        raise PLDError(f'{where} is no expert rule: write an object with a "rule", as {{"rule": "If ..."}}.')
    try:
        written = _Line.model_validate(value).model_dump(exclude_none=True)
    except ValidationError as error:
        raise PLDError(f"{where} is no expert rule: {_first(error)}.") from error
    return _completed(MicroRule(**{"predictor": "", "example": "", **written}), number, learners, where)


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


def _of_sets(sets: Mapping[str, RuleSet], learners: Sequence[str], where: str) -> list[MicroRule]:
    rules = []
    for name, rule in [(name, rule) for name, ruleset in sets.items() for rule in ruleset.rules]:
        author = ", ".join(filter(None, map(str.strip, rule.authors)))
        example = next(filter(None, rule.examples), "")
        micro_rule = MicroRule(predictor=name, example=example, rule=rule.text, author=author)
        rules.append(_completed(micro_rule, rule.id, learners, where))
    return rules


def _checked(rule: MicroRule, number: int, learners: Sequence[str]) -> MicroRule:
    if not isinstance(rule, MicroRule):
        kind = type(rule).__name__
        raise PLDError(f"Expert rule {number} is a {kind}: give micro-rules only, a rule set, or a file's path.")
    return _completed(rule, number, learners, f"Expert rule {number}")


def _completed(rule: MicroRule, number: int | str, learners: Sequence[str], where: str) -> MicroRule:
    """The rule with the names that it lacks."""
    name, there = rule.predictor, ", ".join(learners)
    if name and name not in learners:
        raise PLDError(f"{where} is for the predictor {name!r}, which learns no rules; those that do: {there}.")
    if not name and len(learners) != 1:
        raise PLDError(f'{where} does not say which predictor it is for: name one as "predictor", of {there}.')
    author = rule.author.strip() or AUTHOR
    names = {"predictor": name or learners[0], "example": rule.example or f"{author}:{number}", "author": author}
    return rule.model_copy(update=names)
