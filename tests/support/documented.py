"""The shell commands that stand in the documents."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document):
    """(where, commands) of each block; where is what its first comment says, or nothing."""
    for text in _BLOCK.findall(document.read_text()):
        first, _, rest = text.partition("\n")
        where = first.removeprefix("# ") if first.startswith("# on ") else ""
        where = "anywhere" if first == "# anywhere" else where
        yield where, [line for line in (rest if where else text).splitlines() if line.strip()]


def words(line):
    """A command without its comment."""
    return shlex.split(line, comments=True)
