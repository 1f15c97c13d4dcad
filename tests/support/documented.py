"""Reads the shell commands from the documents."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the commands of each block of shell commands.

    The place is the text of the block's first comment if that says on which machine the commands
    run (``on the head``, ``anywhere``), otherwise an empty text.
    """
    for text in _BLOCK.findall(document.read_text()):
        first, _, rest = text.partition("\n")
        where = first.removeprefix("# ") if first.startswith("# on ") else ""
        where = "anywhere" if first == "# anywhere" else where
        yield where, [line for line in (rest if where else text).splitlines() if line.strip()]


def words(line: str) -> list[str]:
    """Return the words of a command without its comment."""
    return shlex.split(line, comments=True)
