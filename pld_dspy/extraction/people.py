"""People's own rules: micro-rules that a person wrote, next to those that a teacher writes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag, TypeAdapter, ValidationError

from pld_dspy.errors import PLDError
from pld_dspy.rules import MicroRule, RuleSet, RuleText
from pld_dspy.rules.wording import Text

AUTHOR = "expert"  # of rules whose author is not named

Expertise = str | Path | RuleSet | Mapping[str, RuleSet] | Sequence[MicroRule]


class _Written(BaseModel):
    """A line of a file of people's rules; what else it says is left out."""

    model_config = ConfigDict(strict=True)

    rule: RuleText
    example: Annotated[Text | None, BeforeValidator(lambda id: str(id) if type(id) is int else id)] = None
    predictor: str | None = None
    author: Text | None = None
    reasoning: Text | None = None


def _kind(value: Any) -> str:
    """Whether JSON is a rule set, rule sets by predictor, or a line with one rule."""

    def is_set(value: Any) -> bool:
        return isinstance(value, dict) and isinstance(value.get("rules"), list)

    if is_set(value):
        return "set"
    return "sets" if isinstance(value, dict) and value and all(map(is_set, value.values())) else "line"


_JSON: TypeAdapter[RuleSet | dict[str, RuleSet] | _Written] = TypeAdapter(
    Annotated[
        Annotated[RuleSet, Tag("set")] | Annotated[dict[str, RuleSet], Tag("sets")] | Annotated[_Written, Tag("line")],
        Discriminator(_kind),
    ]
)


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
    elif isinstance(source, RuleSet | Mapping):
        rules = _of_sets(source, learners, "the rule set" if isinstance(source, RuleSet) else "The expert rules")
    else:
        rules = _of_micro_rules(source, learners)
    if not rules:
        place = f" in {source}" if isinstance(source, str | Path) else ""
        raise PLDError(f"There is no expert rule{place}: give at least one, or leave expert rules out.")
    return rules


def _read(path: Path, learners: Sequence[str]) -> list[MicroRule]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors put a mark in front
    except OSError as error:
        raise PLDError(f"The expert rules {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PLDError(f"The expert rules {path} are no UTF-8 text: save the file as UTF-8.") from error
    try:
        whole = _JSON.validate_python(json.loads(text))
        if not isinstance(whole, _Written):
            return _of_sets(whole, learners, str(path))
    except (json.JSONDecodeError, RecursionError):
        pass  # several lines
    except ValidationError as error:
        kind, *place = error.errors()[0]["loc"] or ("",)
        if kind in ("set", "sets"):
            where = f"{path}: {place.pop(0)}" if kind == "sets" else str(path)
            raise PLDError(f"{where} is not a rule set: {_first(error, place)}.") from error
    lines = enumerate(text.split("\n"), start=1)  # not splitlines: JSON may hold other line breaks
    return [_of_line(line, number, f"Line {number} of {path}", learners) for number, line in lines if line.strip()]


def _of_line(line: str, number: int, where: str, learners: Sequence[str]) -> MicroRule:
    try:
        written = _JSON.validate_python(json.loads(line))
    except ValidationError as error:
        _, *place = error.errors()[0]["loc"]
        if not place or error.errors()[0]["type"] == "missing":
            message = f'{where} is no expert rule: write an object with a "rule", as {{"rule": "If ..."}}.'
        else:
            message = f"{where} is no expert rule: {_first(error, place)}."
        raise PLDError(message) from error
    except (ValueError, RecursionError) as error:
        raise PLDError(
            f'{where} is no JSON: write one object on each line, as {{"rule": "If ..."}}, or give a rule set as '
            "RuleSet.write writes it."
        ) from error
    if not isinstance(written, _Written):
        raise PLDError(f"{where} is a rule set, but the file has other lines: give micro-rules or one rule set.")
    author = (written.author or "").strip() or AUTHOR
    return MicroRule(
        predictor=_predictor(written.predictor or "", learners, where),
        example=written.example or f"{author}:{number}",
        rule=written.rule,
        reasoning=written.reasoning or "",
        author=author,
    )


def _first(error: ValidationError, place: Sequence[int | str]) -> str:
    where = ".".join(map(str, place))
    return f"{where}: {error.errors()[0]['msg']}" if where else error.errors()[0]["msg"]


def _of_sets(sets: RuleSet | Mapping[str, RuleSet], learners: Sequence[str], where: str) -> list[MicroRule]:
    by_name = {"": sets} if isinstance(sets, RuleSet) else sets
    if not all(isinstance(ruleset, RuleSet) for ruleset in by_name.values()):
        raise PLDError(f"{where} are neither rule sets by predictor nor micro-rules: give one of these.")
    rules = []
    for name, ruleset in by_name.items():
        for rule in ruleset.rules:
            author = ", ".join(filter(None, map(str.strip, rule.authors))) or AUTHOR
            example = next(filter(None, rule.examples), f"{author}:{rule.id}")
            predictor = _predictor(name, learners, where)
            rules.append(MicroRule(predictor=predictor, example=example, rule=rule.text, author=author))
    return rules


def _of_micro_rules(rules: Sequence[MicroRule], learners: Sequence[str]) -> list[MicroRule]:
    checked = []
    for number, rule in enumerate(rules, start=1):
        if not isinstance(rule, MicroRule):
            kind = type(rule).__name__
            raise PLDError(f"Expert rule {number} is a {kind}: give micro-rules only, a rule set, or a file's path.")
        author = rule.author.strip() or AUTHOR
        update = {
            "predictor": _predictor(rule.predictor, learners, f"Expert rule {number}"),
            "example": rule.example or f"{author}:{number}",
            "author": author,
        }
        checked.append(rule.model_copy(update=update))
    return checked


def _predictor(name: str, learners: Sequence[str], where: str) -> str:
    """The predictor that a rule is for."""
    there = ", ".join(learners)
    if name and name not in learners:
        raise PLDError(f"{where} is for the predictor {name!r}, which learns no rules; those that do: {there}.")
    if not name and len(learners) != 1:
        raise PLDError(f'{where} does not say which predictor it is for: name one as "predictor", of {there}.')
    return name or learners[0]
