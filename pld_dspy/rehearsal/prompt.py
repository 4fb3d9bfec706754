"""A request as the simulated models see it, and a reply as DSPy's adapters read it."""

import base64
import io
import json
import re
from dataclasses import dataclass
from functools import lru_cache

from dspy.lm15 import ImagePart, Request
from PIL import Image

_FIELD = re.compile(r"^\[\[ ## (\w+) ## \]\]$", re.MULTILINE)
_REMINDER = re.compile(r"\n\nRespond with (?:the corresponding output fields|a JSON object).*", re.DOTALL)
_OUTPUTS = re.compile(r"Your output fields are:\n(.*?)\nAll interactions", re.DOTALL)
TOKENS_PER_IMAGE = 258  # what Gemini counts for a small image (ai.google.dev/gemini-api/docs/tokens)


@dataclass(frozen=True)
class Prompt:
    """The parts of a request that the simulated models look at."""

    system: str
    fields: dict[str, str]  # of the last user message
    figures: list[Image.Image]  # of the last user message
    outputs: list[str]  # the fields that are asked for
    as_json: bool
    tokens: int

    @property
    def instructions(self) -> list[str]:
        """The lines of the system message that come after DSPy's description of the fields."""
        lines = self.system.partition("your objective is:")[2].splitlines()
        return [line.strip().removeprefix("- ") for line in lines if line.strip()]

    def texts(self, field: str) -> list[str]:
        """The items of a field that holds a list of texts, which DSPy's adapters write as JSON."""
        try:
            items = json.JSONDecoder().raw_decode(self.fields.get(field, ""))[0]
        except ValueError:
            return []
        return [str(item) for item in items] if isinstance(items, list) else []

    def reply(self, values: dict[str, str]) -> str:
        """Write a reply with a value for each field that is asked for; other fields say that this is a simulator."""
        filled = {name: values.get(name, "(simulated text)") for name in self.outputs}
        fields = [f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in filled.items()]
        return json.dumps(filled) if self.as_json else "".join(fields) + "[[ ## completed ## ]]"


def read_prompt(request: Request) -> Prompt:
    """Take a request apart."""
    system = request.system or ""
    system = system if isinstance(system, str) else "".join(part.text for part in system)
    last = [message for message in request.messages if message.role == "user"][-1]
    text = "".join(part.text for part in last.parts if part.type == "text")
    pieces = _FIELD.split(_REMINDER.sub("", text))
    parts = [part for message in request.messages for part in message.parts]
    images = sum(isinstance(part, ImagePart) for part in parts)
    outputs = _OUTPUTS.search(system)
    length = len(system) + sum(len(part.text) for part in parts if part.type == "text")
    return Prompt(
        system=system,
        fields={name: value.strip() for name, value in zip(pieces[1::2], pieces[2::2], strict=True)} or {"text": text},
        figures=[_decode(part.data) for part in last.parts if isinstance(part, ImagePart) and part.data],
        outputs=re.findall(r"^\d+\. `(\w+)`", outputs.group(1), re.MULTILINE) if outputs else [],
        as_json="Outputs will be a JSON object" in system,
        tokens=-(-length // 4) + TOKENS_PER_IMAGE * images,
    )


@lru_cache(maxsize=512)
def _decode(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
