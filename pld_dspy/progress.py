"""Progress of long work on standard error."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar(display: bool) -> Progress:
    """A progress display whose tasks say what, how many of how many, and how long; shown only with `display`.

    It stays on the standard error of now, also while what others print is kept in a file.
    """
    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(file=sys.stderr), disable=not display)
