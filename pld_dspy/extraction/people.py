"""People's own rules: micro-rules that a person wrote, next to those that a teacher writes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from pld_dspy.errors import PLDError
from pld_dspy.rules import MicroRule, Rule, RuleSet, RuleText
from pld_dspy.rules.wording import Text

AUTHOR = "expert"  # of rules whose author is not named
_BOM = "\ufeff"  # which editors put in front of UTF-8

Expertise = str | Path | RuleSet | Mapping[str, RuleSet] | Sequence[MicroRule]


class _Written(BaseModel):
    """A line of a file of people's rules; what else it says is left out."""

    model_config = ConfigDict(strict=True)

    rule: RuleText
    example: Annotated[Text | None, BeforeValidator(lambda id: str(id) if type(id) is int else id)] = None
    predictor: str | None = None
    author: Text | None = None
    reasoning: Text | None = None


def expert_rules(source: Expertise, learners: Sequence[str]) -> list[MicroRule]:
    """Read people's own rules as micro-rules, which then are clustered and united like those of the teacher.

    A person's words are taken as they are, but for line breaks: what the teacher may not write is allowed here. The
    author of a rule is never empty. Of a rule in a rule set it is all its authors, and its example is the first of its
    own; its history and the use that was measured of it stay behind.

    Args:
        source: the path of a file with a JSON object on each line, {"rule": ...} and, where they are known, "example"
            (the id of the example that it was written from), "predictor", "author" and "reasoning"; or of a rule set as
            `RuleSet.write` or a run folder's rules/NNN.json has it. Or a rule set, rule sets by predictor, or
            micro-rules.
        learners: the names of the predictors that learn rules.

    Returns:
        A micro-rule for each line, or for each rule. Without names of their own their author is "expert", their example
        the author and the number of the line or the id of the rule, and their predictor the only one that learns.

    Raises:
        PLDError: the source cannot be read, holds no rule, is none of these or several of them, or does not say which
            predictor a rule is for; the message says where.
    """
    if isinstance(source, str | Path):
        rules = _read(Path(source), learners)
    elif isinstance(source, RuleSet):
        rules = _of_set(source, "", learners, "the rule set")
    elif isinstance(source, Mapping):
        rules = _of_sets(source, learners, "The expert rules")
    else:
        rules = _of_micro_rules(source, learners)
    if not rules:
        place = f" in {source}" if isinstance(source, str | Path) else ""
        raise PLDError(f"There is no expert rule{place}: give at least one, or leave expert rules out.")
    return rules


def _read(path: Path, learners: Sequence[str]) -> list[MicroRule]:
    try:
        text = path.read_text(encoding="utf-8").removeprefix(_BOM)
    except OSError as error:
        raise PLDError(f"The expert rules {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PLDError(f"The expert rules {path} are no UTF-8 text: save the file as UTF-8.") from error
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return _of_lines(path, text, learners)
    if _is_rule_set(whole):
        return _of_set(_rule_set(whole, str(path)), "", learners, str(path))
    if _is_by_predictor(whole):
        sets = {name: _rule_set(each, f"{path}: {name}") for name, each in whole.items()}
        return _of_sets(sets, learners, str(path))
    return _of_lines(path, text, learners)


def _is_rule_set(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("rules"), list)


def _is_by_predictor(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_is_rule_set, value.values()))


def _rule_set(value: Any, where: str) -> RuleSet:
    try:
        return RuleSet.model_validate(value)
    except ValidationError as error:
        raise PLDError(f"{where} is not a rule set: {_first(error)}.") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def _of_lines(path: Path, text: str, learners: Sequence[str]) -> list[MicroRule]:
    rules = []
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: JSON may hold other line breaks
        where = f"Line {number} of {path}"
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PLDError(
                f'{where} is no JSON: write one object on each line, as {{"rule": "If ..."}}, or give a rule set as '
                "RuleSet.write writes it."
            ) from error
        if _is_rule_set(value) or _is_by_predictor(value):
            raise PLDError(f"{where} is a rule set, but the file has other lines: give micro-rules or one rule set.")
        if not isinstance(value, dict) or "rule" not in value:
            raise PLDError(f'{where} is no expert rule: write an object with a "rule", as {{"rule": "If ..."}}.')
        try:
            written = _Written.model_validate(value)
        except ValidationError as error:
            raise PLDError(f"{where} is no expert rule: {_first(error)}.") from error
        author = (written.author or "").strip() or AUTHOR
        micro_rule = MicroRule(
            predictor=_predictor(written.predictor or "", learners, where),
            example=written.example or f"{author}:{number}",
            rule=written.rule,
            reasoning=written.reasoning or "",
            author=author,
        )
        rules.append(micro_rule)
    return rules


def _of_sets(sets: Mapping[str, RuleSet], learners: Sequence[str], where: str) -> list[MicroRule]:
    if not all(isinstance(each, RuleSet) for each in sets.values()):
        raise PLDError(f"{where} are neither rule sets by predictor nor micro-rules: give one of these.")
    return [rule for name, each in sets.items() for rule in _of_set(each, name, learners, where)]


def _of_set(rules: RuleSet, predictor: str, learners: Sequence[str], where: str) -> list[MicroRule]:
    def micro_rule(rule: Rule) -> MicroRule:
        author = ", ".join(filter(None, map(str.strip, rule.authors))) or AUTHOR
        return MicroRule(
            predictor=name,
            example=next(filter(None, rule.examples), f"{author}:{rule.id}"),
            rule=rule.text,
            author=author,
        )

    name = _predictor(predictor, learners, where) if rules.rules else predictor
    return [micro_rule(rule) for rule in rules.rules]


def _of_micro_rules(rules: Sequence[MicroRule], learners: Sequence[str]) -> list[MicroRule]:
    found = []
    for number, rule in enumerate(rules, start=1):
        if not isinstance(rule, MicroRule):
            kind = type(rule).__name__
            raise PLDError(f"Expert rule {number} is a {kind}: give micro-rules only, a rule set, or a file's path.")
        author = rule.author.strip() or AUTHOR
        given = {
            "predictor": _predictor(rule.predictor, learners, f"Expert rule {number}"),
            "example": rule.example or f"{author}:{number}",
            "author": author,
        }
        found.append(rule.model_copy(update=given))
    return found


def _predictor(named: str, learners: Sequence[str], where: str) -> str:
    """The predictor that a rule is for."""
    there = ", ".join(learners)
    if named and named not in learners:
        raise PLDError(f"{where} is for the predictor {named!r}, which learns no rules; those that do: {there}.")
    if not named and len(learners) != 1:
        raise PLDError(f'{where} does not say which predictor it is for: name one as "predictor", of {there}.')
    return named or learners[0]
