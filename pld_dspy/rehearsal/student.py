"""The simulated student: follows the first rule of its prompt that fits the question, and guesses where none does."""

import hashlib
import random
import re
from dataclasses import dataclass

from PIL import Image

from pld_dspy.rehearsal.prompt import Prompt
from pld_dspy.rehearsal.skills import SKILLS, Skill

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
        letters = {text.strip(): letter for letter, text in _CHOICE.findall(prompt.fields.get("choices", ""))}
        said = self._said(question, list(letters), self._look(prompt, question), prompt.instructions[: self.attention])
        return dict.fromkeys((name for name in prompt.outputs if name != "reasoning"), letters.get(said, said))

    def _look(self, prompt: Prompt, question: str) -> Image.Image | None:
        """The figure to look at: the only one, or the one whose caption fits the kind of question."""
        captions = prompt.texts("captions")
        if len(prompt.figures) < 2 or len(captions) != len(prompt.figures):
            return prompt.figures[0] if prompt.figures else None
        skill = _skill_of(question)
        fitting = [
            figure
            for figure, caption in zip(prompt.figures, captions, strict=True)
            if skill and re.search(skill.caption_pattern, caption, re.IGNORECASE)
        ]
        return (fitting or prompt.figures)[0]

    def _said(self, question: str, choices: list[str], figure: Image.Image | None, rules: list[str]) -> str:
        pixels = hashlib.sha256(figure.tobytes()).hexdigest() if figure else ""
        rng = random.Random(f"{self.seed}/{question}/{choices}/{pixels}")
        skill = _skill_of(question)
        if skill is None or (figure is None and skill.needs_figure):
            return rng.choice(choices or ["unknown"])
        seen = figure or Image.new("RGB", (1, 1))
        for rule in rules:
            verdict = skill.understands(rule)
            if verdict is not None:
                return skill.solve(question, choices, seen, verdict)
        return rng.choice(skill.options(question, choices, seen))


def _skill_of(question: str) -> Skill | None:
    return next((skill for skill in SKILLS if skill.asks(question)), None)
