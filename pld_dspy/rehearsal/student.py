"""The simulated student: follows the first rule of its prompt that fits the question, and guesses where none does."""

import hashlib
import random
import re
from dataclasses import dataclass

from PIL import Image

from pld_dspy.rehearsal.prompt import Prompt
from pld_dspy.rehearsal.skills import Skill, skill_asked

_RULE_ID = re.compile(r"R\d+(?=: )")
_CHOICE = re.compile(r"^\(([A-H])\) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Student:
    """A student without knowledge of its own.

    Args:
        seed: of its guesses.
        attention: how many lines of instructions it takes in; it never reads what stands behind them.
    """

    seed: int = 0
    attention: int = 40

    def answer(self, prompt: Prompt) -> dict[str, str]:
        """Answer the question of a prompt: a value for each output field but `reasoning`."""
        question = prompt.fields.get("question", next(iter(prompt.fields.values())))
        skill, captions = skill_asked(question), prompt.texts("captions")
        outputs = [name for name in prompt.outputs if name not in ("reasoning", "rule_followed")]
        finding = outputs == ["figure"]
        rule, verdict = _first_rule(prompt.instructions[: self.attention], skill, finding) if skill else ("", None)
        pattern = skill.caption_pattern if skill else ""
        fitting = [i for i, caption in enumerate(captions) if pattern and re.search(pattern, caption, re.IGNORECASE)]
        if finding and fitting and verdict is not None:
            value = str(fitting[0] + 1 if verdict else 1)
        elif finding:
            figures = max(len(captions), len(prompt.figures), 1)
            value = str(random.Random(f"{self.seed}/{question}/{captions}").randint(1, figures))
        else:
            letters = {text.strip(): letter for letter, text in _CHOICE.findall(prompt.fields.get("choices", ""))}
            in_order = len(captions) == len(prompt.figures) > 1
            figure = prompt.figures[fitting[0] if in_order and fitting else 0] if prompt.figures else None
            text = self._solve(skill, question, list(letters), figure, verdict)
            value = letters.get(text, text)
        rule_id = _RULE_ID.match(rule)
        return {**dict.fromkeys(outputs, value), "rule_followed": rule_id.group() if rule_id else "none"}

    def _solve(
        self, skill: Skill | None, question: str, choices: list[str], figure: Image.Image | None, verdict: bool | None
    ) -> str:
        """What follows from a rule with this verdict, or a guess where there is no rule."""
        pixels = hashlib.sha256(figure.tobytes()).hexdigest() if figure else ""
        rng = random.Random(f"{self.seed}/{question}/{choices}/{pixels}")
        if skill is None or (figure is None and skill.needs_figure):
            return rng.choice(choices or ["unknown"])
        seen = figure or Image.new("RGB", (1, 1))
        try:
            if verdict is None:
                return rng.choice(skill.options(question, choices, seen))
            return skill.solve(question, choices, seen, verdict)
        except Exception:  # skills raise whatever they meet in a figure of another kind than the question is about
            return rng.choice(choices or ["unknown"])


def _first_rule(rules: list[str], skill: Skill, finding: bool) -> tuple[str, bool | None]:
    """The first rule that fits a skill's questions, and whether it is right."""
    for rule in rules:
        verdict = skill.understands_finding(rule) if finding else skill.understands(rule)
        if verdict is not None:
            return rule, verdict
    return "", None
