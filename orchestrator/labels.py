"""Builds the labels by which tables and commands name an architecture or a task."""

import re
from collections.abc import Mapping
from typing import Any

from trainables.plain_text import fit_text

NARROW = 13  # options of this many characters or more are broken at their equals sign


def make_label(name: str, options: Mapping[str, Any]) -> str:
    """Return the label of an architecture or a task, such as ``memory(size=8)``.

    Args:
        name: name of the architecture or task.
        options: options that the sweep file gives, without those left at their defaults.
    """
    listed = ", ".join(f"{key}={_written(value)}" for key, value in sorted(options.items()))
    return fit_text(f"{name}({listed})" if listed else name)


def _written(value: Any) -> str:
    """Return a value as the sweep file writes it: ``true``, not ``True``."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def heading(name: str) -> str:
    """Return a label with line breaks before and between its options, for a narrow column.

    Args:
        name: label from :func:`make_label`.
    """
    name, bracket, options = name.partition("(")
    if not bracket:
        return name
    parts = [
        part if len(part) < NARROW else part.replace("=", "=\n")
        for part in re.split(r", (?![^\[]*\])", options)  # not inside [low, high]
    ]
    return name + "\n(" + ",\n".join(parts)
