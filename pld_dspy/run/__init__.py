"""One run: its folder, its calls, what they cost and what it may take."""

from pld_dspy.run.folder import RunFolder, append_line, read_lines
from pld_dspy.run.runner import Runner
from pld_dspy.run.usage import Usage, price

__all__ = ["RunFolder", "Runner", "Usage", "append_line", "price", "read_lines"]
