"""The simulated models as an engine of `dspy.LM`."""

from dataclasses import asdict, dataclass
from typing import Any

import dspy
from dspy.clients.engines.base import validate_request
from dspy.lm15 import ContextLengthError, Message, Request, Response, TextPart, Usage, response_to_events

from pld_dspy.rehearsal.prompt import read_prompt
from pld_dspy.rehearsal.student import Student
from pld_dspy.rehearsal.teacher import Teacher


@dataclass(eq=False)
class RehearsalEngine:
    """A simulator, not a model: answers the teacher's questions as the teacher, everything else as the student.

    It sees nothing but the request. What it scores shows that the machinery works, never that distillation does.
    """

    student: Student
    teacher: Teacher
    context: int = 16_000  # tokens of a prompt that it refuses to exceed

    def complete(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            dspy.lm15.ContextLengthError: the prompt is longer than the context.
        """
        validate_request(request)
        prompt = read_prompt(request)
        if prompt.tokens > self.context:
            raise ContextLengthError(f"The prompt has {prompt.tokens} tokens, the simulated context {self.context}.")
        text = prompt.reply(self.teacher.answer(prompt) or self.student.answer(prompt))
        written = -(-len(text) // 4)
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart(text)]),
            finish_reason="stop",
            usage=Usage(input_tokens=prompt.tokens, output_tokens=written, total_tokens=prompt.tokens + written),
        )

    def stream(self, request: Request) -> Any:
        """The same answer as a stream of events."""
        return response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing to close."""

    def dump_state(self) -> dict[str, Any]:
        """What `load_state` needs, so that programs that hold this model can be saved."""
        return asdict(self)

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> "RehearsalEngine":
        """Make the engine that `dump_state` described."""
        return cls(Student(**state["student"]), Teacher(**state["teacher"]), state["context"])


def rehearsal_lm(seed: int = 0, error_rate: float = 0.2, attention: int = 40, context: int = 16_000) -> dspy.LM:
    """The simulated models behind one `dspy.LM`, for the student's side and the teacher's.

    Args:
        seed: of guesses, wordings and errors.
        error_rate: probability that a rule or a repair which the teacher writes is wrong.
        attention: lines of instructions that the student takes in.
        context: tokens of the longest prompt.

    Returns:
        A language model without DSPy's cache, since looking an answer up would take longer than computing it.
    """
    engine = RehearsalEngine(Student(seed, attention), Teacher(seed, error_rate), context)
    name = f"rehearsal:seed={seed},error_rate={error_rate},attention={attention},context={context}"
    return dspy.LM(name, engine=engine, cache=False)
