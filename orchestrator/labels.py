"""What tables and commands call an architecture or a task."""

import re
from collections.abc import Mapping
from typing import Any

NARROW = 13  # characters that an option may have before it is broken


def make_label(name: str, options: Mapping[str, Any]) -> str:
    """How tables call something: its name, and the options that were given."""
    given = ", ".join(f"{key}={_written(value)}" for key, value in sorted(options.items()))
    return f"{name}({given})" if given else name


def _written(value: Any) -> str:
    """As in the file: ``true``, not ``True``."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def heading(name: str) -> str:
    """A label broken before its options and between them, so that columns stay narrow."""
    name, bracket, options = name.partition("(")
    if not bracket:
        return name
    parts = [
        part if len(part) < NARROW else part.replace("=", "=\n")
        for part in re.split(r", (?![^\[]*\])", options)  # not inside [low, high]
    ]
    return name + "\n(" + ",\n".join(parts)
