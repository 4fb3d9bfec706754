"""The simulated student: follows the first rule of its prompt that fits the question, and guesses where none does."""

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from pld_dspy.rehearsal.prompt import Prompt
from pld_dspy.rehearsal.skills import SKILLS, Skill

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
        rules = prompt.instructions[: self.attention]
        asked = [name for name in prompt.outputs if name not in ("reasoning", "rule_followed")]
        if asked == ["figure"]:
            skill = _skill_of(question)
            followed = _followed(rules, skill.understands_finding if skill else None)
            return {"figure": str(self._found(prompt, question, rules)), "rule_followed": followed}
        letters = {text.strip(): letter for letter, text in _CHOICE.findall(prompt.fields.get("choices", ""))}
        said = self._said(question, list(letters), self._look(prompt, question), rules)
        skill = _skill_of(question)
        followed = _followed(rules, skill.understands if skill else None)
        return {**dict.fromkeys(asked, letters.get(said, said)), "rule_followed": followed}

    def _found(self, prompt: Prompt, question: str, rules: list[str]) -> int:
        """The number of the figure that the first finding rule for the question names, or of any."""
        captions, skill = prompt.texts("captions"), _skill_of(question)
        fitting = _fitting(skill, captions)
        verdicts = [skill.understands_finding(rule) for rule in rules] if skill and fitting else []
        for verdict in verdicts:
            if verdict is not None:
                return fitting[0] + 1 if verdict else 1
        figures = max(len(captions), len(prompt.figures), 1)
        return random.Random(f"{self.seed}/{question}/{captions}").randint(1, figures)

    def _look(self, prompt: Prompt, question: str) -> Image.Image | None:
        """The figure to look at: the only one, or the one whose caption fits the kind of question."""
        captions = prompt.texts("captions")
        if len(prompt.figures) < 2 or len(captions) != len(prompt.figures):
            return prompt.figures[0] if prompt.figures else None
        return prompt.figures[[*_fitting(_skill_of(question), captions), 0][0]]

    def _said(self, question: str, choices: list[str], figure: Image.Image | None, rules: list[str]) -> str:
        pixels = hashlib.sha256(figure.tobytes()).hexdigest() if figure else ""
        rng = random.Random(f"{self.seed}/{question}/{choices}/{pixels}")
        skill = _skill_of(question)
        if skill is None or (figure is None and skill.needs_figure):
            return rng.choice(choices or ["unknown"])
        seen = figure or Image.new("RGB", (1, 1))
        try:
            for rule in rules:
                verdict = skill.understands(rule)
                if verdict is not None:
                    return skill.solve(question, choices, seen, verdict)
            return rng.choice(skill.options(question, choices, seen))
        except Exception:  # skills raise whatever they meet in a figure of another kind than the question is about
            return rng.choice(choices or ["unknown"])


def _followed(rules: list[str], understands: Callable[[str], bool | None] | None) -> str:
    """The id of the first rule that fits, where rules have ids."""
    fitting = (rule for rule in rules if understands and understands(rule) is not None)
    found = _RULE_ID.match(next(fitting, ""))
    return found.group() if found else "none"


def _skill_of(question: str) -> Skill | None:
    return next((skill for skill in SKILLS if skill.asks(question)), None)


def _fitting(skill: Skill | None, captions: list[str]) -> list[int]:
    """Places of the captions of a skill's figures."""
    return [
        place
        for place, caption in enumerate(captions)
        if skill and skill.caption_pattern and re.search(skill.caption_pattern, caption, re.IGNORECASE)
    ]
