"""Language models that answer as a test tells them to, and remember what they were asked."""

import threading
from collections.abc import Callable

import dspy
from dspy.lm15 import Message, Response, TextPart, Usage

from pld_dspy.rehearsal.prompt import Prompt, read_prompt


class ScriptedEngine:
    """Answers a prompt with the fields that `script` returns for it; an exception from it is the engine's."""

    def __init__(self, script: Callable[[Prompt], dict[str, str] | str]) -> None:
        self.script = script
        self.prompts: list[Prompt] = []
        self._lock = threading.Lock()

    def complete(self, request):
        prompt = read_prompt(request)
        with self._lock:
            self.prompts.append(prompt)
        values = self.script(prompt)
        text = values if isinstance(values, str) else prompt.reply(values)
        usage = Usage(input_tokens=prompt.tokens, output_tokens=7, total_tokens=prompt.tokens + 7)
        return Response(
            id=None, model=request.model, message=Message.assistant([TextPart(text)]), finish_reason="stop", usage=usage
        )


def scripted(script: Callable[[Prompt], dict[str, str] | str]) -> dspy.LM:
    """A model without cache and retries; its prompts are in `lm.engine.prompts`."""
    return dspy.LM("scripted", engine=ScriptedEngine(script), cache=False, num_retries=0)


def examples(n: int, **labels: str) -> list[dspy.Example]:
    """n questions with the label `answer` "yes", or others."""
    return [
        dspy.Example(id=f"q{i}", question=f"Is {i} a number?", **{"answer": "yes", **labels}).with_inputs("question")
        for i in range(n)
    ]
