"""The simulated teacher: states the rule behind an example in varying words, and errs with a set probability."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pld_dspy.rehearsal.prompt import Prompt
from pld_dspy.rehearsal.skills import SKILLS, Skill

_RULE_LINE = re.compile(r"^(R\d+): (.*)$", re.MULTILINE)
_PAIR = re.compile(r"^Pair \d+$", re.MULTILINE)
_QUESTION = re.compile(r"^Question \d+$", re.MULTILINE)


class _Topic(NamedTuple):
    """What rules are about."""

    say: Callable[[Skill, random.Random, bool], str]
    understands: Callable[[Skill, str], bool | None]


_ANSWERING = _Topic(Skill.wording, Skill.understands)
_FINDING = _Topic(Skill.finding, Skill.understands_finding)


@dataclass(frozen=True)
class Teacher:
    """Answers the questions of `pld_dspy.Teacher`.

    Args:
        seed: of its words and errors; the same prompt gets the same reply.
        error_rate: probability that what it writes, a rule from an example or from others or a repair, is wrong.
    """

    seed: int = 0
    error_rate: float = 0.2

    def answer(self, prompt: Prompt) -> dict[str, str] | None:
        """The reply's fields, or None for a prompt that is not one of the teacher's."""
        rng = random.Random(f"{self.seed}/{sorted(prompt.fields.items())}")
        topic = _FINDING if prompt.fields.get("task", "").startswith("Find the figure") else _ANSWERING
        if "edits" in prompt.outputs:
            given = prompt.fields
            propose = self._repair if "failures" in given else self._judge if "pairs" in given else self._compress
            return {"edits": json.dumps(propose(prompt, topic, rng)), "reasoning": "Simulated diagnosis."}
        if "rule" in prompt.outputs and "rules" in prompt.fields:
            return {"rule": self._unite(prompt.texts("rules"), topic, rng)}
        if "rule" in prompt.outputs:
            rule = self._extract(prompt.fields.get("example", ""), prompt.fields.get("kind", ""), topic, rng)
            return {"rule": rule, "reasoning": "Simulated reasoning."}
        return None

    def _extract(self, example: str, kind: str, topic: _Topic, rng: random.Random) -> str:
        skill = next((skill for skill in SKILLS if skill.asks(example) or skill.name == kind), None)
        return topic.say(skill, rng, self._is_right(rng)) if skill else ""

    def _is_right(self, rng: random.Random) -> bool:
        return rng.random() >= self.error_rate

    def _unite(self, rules: list[str], topic: _Topic, rng: random.Random) -> str:
        """State what most of the rules say, about the skill that most of them are about."""
        votes = Counter(found for rule in rules if (found := _meaning(rule, topic)))
        skills = Counter(skill for skill, _ in votes.elements())
        if not skills:
            return rules[0] if rules else ""
        skill = skills.most_common(1)[0][0]
        return topic.say(skill, rng, votes[skill, True] >= votes[skill, False] and self._is_right(rng))

    def _repair(self, prompt: Prompt, topic: _Topic, rng: random.Random) -> list[dict[str, Any]]:
        """An edit for each skill that was answered wrongly."""
        rules = _understood(prompt.fields["rules"], topic)
        failed = [skill for text in _QUESTION.split(prompt.fields["failures"]) for skill in SKILLS if skill.asks(text)]
        edits: list[dict[str, Any]] = []
        for skill in dict.fromkeys(failed):
            text = topic.say(skill, rng, self._is_right(rng))
            ids = [id for id, about, _ in rules if about is skill]
            wrong = [id for id, about, right in rules if about is skill and not right]
            reason = f"Questions of the kind '{skill.name}' were answered wrongly."
            if not ids:
                edits.append({"operation": "add", "text": text, "reason": reason})
            elif len(ids) > 1:
                edits.append({"operation": "merge", "ids": ids, "text": text, "reason": reason})
            elif wrong:
                edits.append({"operation": "revise", "ids": wrong, "text": text, "reason": reason})
        return edits

    def _judge(self, prompt: Prompt, topic: _Topic, rng: random.Random) -> list[dict[str, Any]]:
        """Take out one rule of each pair that contradicts itself."""
        edits: list[dict[str, Any]] = []
        for pair in _PAIR.split(prompt.fields["pairs"]):
            rules = _understood(pair, topic)
            if len({skill for _, skill, _ in rules}) == 1 and len({right for _, _, right in rules}) == 2:
                keep = self._is_right(rng)
                ids = [id for id, _, right in rules if right != keep]
                edits.append({"operation": "delete", "ids": ids, "reason": "It contradicts the other rule."})
        return edits

    def _compress(self, prompt: Prompt, topic: _Topic, rng: random.Random) -> list[dict[str, Any]]:
        """Merge the rules of a skill that say the same."""
        alike: dict[tuple[Skill, bool], list[str]] = {}
        for id, skill, right in _understood(prompt.fields["rules"], topic):
            alike.setdefault((skill, right), []).append(id)
        return [
            {
                "operation": "merge",
                "ids": ids,
                "text": topic.say(skill, rng, right and self._is_right(rng)),
                "reason": "They say the same.",
            }
            for (skill, right), ids in alike.items()
            if len(ids) > 1
        ]


def _understood(text: str, topic: _Topic) -> list[tuple[str, Skill, bool]]:
    """The rules of a text, a line each, that are about a skill: their id, the skill, and whether they are right."""
    return [(id, *found) for id, rule in _RULE_LINE.findall(text) if (found := _meaning(rule, topic))]


def _meaning(rule: str, topic: _Topic) -> tuple[Skill, bool] | None:
    for skill in SKILLS:
        verdict = topic.understands(skill, rule)
        if verdict is not None:
            return skill, verdict
    return None
