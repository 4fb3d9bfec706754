"""The command `pld`."""

import io
import os
import sys
from typing import NoReturn

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # prices from the installed package, not the network

import typer

from pld_dspy.cli.compile import compile_, demo
from pld_dspy.cli.doctor import doctor
from pld_dspy.cli.evaluate import evaluate
from pld_dspy.errors import PLDError
from pld_dspy.plugins import installed

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("compile")(compile_)
app.command()(evaluate)
app.command()(doctor)
app.command()(demo)

INTERRUPTED = 130  # what typer makes of Ctrl-C


@app.callback()
def pld() -> None:
    """Prompt-level distillation: compile a teacher's reasoning into a student's instructions."""


def main() -> NoReturn:
    """Run a command; bad input and models that do not answer end it with one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack a letter
    for name, entry in installed("commands").items():
        app.command(name)(entry.load())
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (PLDError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)
    if code == INTERRUPTED:
        os._exit(code)  # calls in flight would keep the process alive until they are answered
    sys.exit(code)
