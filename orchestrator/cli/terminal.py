"""What commands say, where, and how they name themselves and each other."""

import logging
import os
import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console

from orchestrator.credentials import without_password
from trainables.storage import Location

DEFAULT_RESULTS = Path("results")

# Where there is no terminal whose width could be asked, tables may be wider than rich's 80.
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120)


class StderrHandler(logging.Handler):
    """Prints to the present ``sys.stderr``, which a live display puts its own in place of."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def command() -> str:
    """How the user can call us: by name if that finds us, else as we were called."""
    called = Path(sys.argv[0])
    found = shutil.which("soundings")
    return "soundings" if found and Path(found).resolve() == called.resolve() else str(called)


def options(results: Location, mlflow: str | None) -> str:
    """The options that another command needs to find the same results."""
    given = [f" --results {shlex.quote(str(results))}"] if results != DEFAULT_RESULTS else []
    if mlflow and mlflow != os.environ.get("MLFLOW_TRACKING_URI"):
        given.append(f" --mlflow {shlex.quote(without_password(mlflow))}")
    return "".join(given)
