"""Prints what commands say, and names the commands and options that a user types next."""

import logging
import os
import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console

from orchestrator.views.mlflow.uri import without_password
from trainables.storage import Location

DEFAULT_RESULTS = Path("results")
WIDTH = 120  # characters, where there is no terminal to ask; rich's default is 80
LONGEST_WIDTH = 9_999  # a width beyond that is a mistake, for which tables would be filled up


def is_width(text: str) -> bool:
    """Return whether a text is the width or height of a terminal, as ``COLUMNS`` has it."""
    return text.isdecimal() and 0 < int(text[:9]) <= LONGEST_WIDTH


def _width() -> int | None:
    """Return the width of the console; None lets rich ask the terminal each time."""
    columns = os.environ.get("COLUMNS")
    if columns and is_width(columns):
        return int(columns)
    if sys.stdout is None or not sys.stdout.isatty():
        return WIDTH
    return None if columns is None else shutil.get_terminal_size((WIDTH, 0)).columns


console = Console(width=_width())


class StderrHandler(logging.Handler):
    """Prints to the current ``sys.stderr``, which a live display replaces while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def say(
    text: str, console: Console = console, style: str | None = None, wrap: bool = False
) -> None:
    """Print a text unchanged: brackets are no markup, `:bear:` is none, numbers are not coloured.

    Args:
        console: the console that prints.
        style: a style of rich, such as ``dim``.
        wrap: whether lines are wrapped at the width of the console.
    """
    console.print(text, style=style, markup=False, emoji=False, highlight=False, soft_wrap=not wrap)


def command() -> str:
    """Return how the user can call this program, as shell text: by name if the PATH has it."""
    called = Path(sys.argv[0])
    on_path = shutil.which("soundings")
    if on_path and Path(on_path).resolve() == called.resolve():
        return "soundings"
    return shlex.quote(str(called))


def options(results: Location, mlflow: str | None) -> str:
    """Return the options with which another command finds the same results, as shell text."""
    texts = [f" --results {shlex.quote(str(results))}"] if results != DEFAULT_RESULTS else []
    if mlflow and mlflow != os.environ.get("MLFLOW_TRACKING_URI"):
        texts.append(f" --mlflow {shlex.quote(without_password(mlflow))}")
    return "".join(texts)
