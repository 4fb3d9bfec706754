"""The simulated teacher: states the rule behind an example in varying words, and errs with a set probability."""

import json
import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pld_dspy.rehearsal.prompt import Prompt
from pld_dspy.rehearsal.skills import SKILLS, Skill, skill_asked

_RULE_LINE = re.compile(r"^(R\d+): (.*)$", re.MULTILINE)
_PAIR = re.compile(r"^Pair \d+$", re.MULTILINE)
_QUESTION = re.compile(r"^Question \d+$", re.MULTILINE)


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
        finding = prompt.fields.get("task", "").startswith("Find the figure")
        writer = _Writer(prompt.fields, finding, rng, self.error_rate)
        if "edits" in prompt.outputs:
            propose = {"failures": writer.repair, "pairs": writer.judge}
            edits = next((propose[name] for name in propose if name in prompt.fields), writer.compress)()
            return {"edits": json.dumps(edits), "reasoning": "Simulated diagnosis."}
        if "rule" not in prompt.outputs:
            return None
        if "rules" in prompt.fields:
            return {"rule": writer.unite(prompt.texts("rules"))}
        return {"rule": writer.extract(), "reasoning": "Simulated reasoning."}


@dataclass(frozen=True)
class _Writer:
    """Writes one reply, about rules that answer or, where the task is `finding`, that find the figure."""

    fields: dict[str, str]
    finding: bool
    rng: random.Random
    error_rate: float

    def extract(self) -> str:
        by_name = {skill.name: skill for skill in SKILLS}
        skill = skill_asked(self.fields.get("example", "")) or by_name.get(self.fields.get("kind", ""))
        return self._state(skill) if skill else ""

    def unite(self, rules: list[str]) -> str:
        """State what most of the rules say, about the skill that most of them are about."""
        votes = Counter(meaning for rule in rules if (meaning := self._meaning(rule)))
        skills = Counter(skill for skill, _ in votes.elements())
        if not skills:
            return rules[0] if rules else ""
        skill = skills.most_common(1)[0][0]
        return self._state(skill, votes[skill, True] >= votes[skill, False])

    def repair(self) -> list[dict[str, Any]]:
        """An edit for each skill that was answered wrongly."""
        rules, edits = self._understood(self.fields["rules"]), []
        failed = [skill_asked(text) for text in _QUESTION.split(self.fields["failures"])]
        for skill in filter(None, dict.fromkeys(failed)):
            ids = [rule_id for rule_id, about, _ in rules if about is skill]
            operation = "merge" if len(ids) > 1 else "revise" if ids else "add"
            reason = f"Questions of the kind '{skill.name}' were answered wrongly."
            if operation != "revise" or (ids[0], skill, False) in rules:
                edits.append({"operation": operation, "ids": ids, "text": self._state(skill), "reason": reason})
        return edits

    def judge(self) -> list[dict[str, Any]]:
        """Take out one rule of each pair that contradicts itself."""
        edits = []
        for pair in _PAIR.split(self.fields["pairs"]):
            rules = self._understood(pair)
            if len({skill for _, skill, _ in rules}) == 1 and len({right for _, _, right in rules}) == 2:
                keep = self.rng.random() >= self.error_rate
                ids = [rule_id for rule_id, _, right in rules if right != keep]
                edits.append({"operation": "delete", "ids": ids, "reason": "It contradicts the other rule."})
        return edits

    def compress(self) -> list[dict[str, Any]]:
        """Merge the rules of a skill that say the same."""
        alike: dict[tuple[Skill, bool], list[str]] = {}
        for rule_id, skill, right in self._understood(self.fields["rules"]):
            alike.setdefault((skill, right), []).append(rule_id)
        return [
            {"operation": "merge", "ids": ids, "text": self._state(*meaning), "reason": "They say the same."}
            for meaning, ids in alike.items()
            if len(ids) > 1
        ]

    def _state(self, skill: Skill, meant_right: bool = True) -> str:
        """State a skill's rule, or its opposite where that is meant or by an error."""
        correct = meant_right and self.rng.random() >= self.error_rate
        return skill.finding(self.rng, correct) if self.finding else skill.wording(self.rng, correct)

    def _understood(self, text: str) -> list[tuple[str, Skill, bool]]:
        """The rules of a text, a line each, that are about a skill: their id, the skill, and whether they are right."""
        return [(name, *meaning) for name, rule in _RULE_LINE.findall(text) if (meaning := self._meaning(rule))]

    def _meaning(self, rule: str) -> tuple[Skill, bool] | None:
        for skill in SKILLS:
            verdict = skill.understands_finding(rule) if self.finding else skill.understands(rule)
            if verdict is not None:
                return skill, verdict
        return None
