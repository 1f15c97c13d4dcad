"""The small variant of a sweep: the same file, with what stands under ``small`` put over it."""

from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.yamlfile import Location

KEY = "small"


def variant(
    path: Path, data: dict[str, Any], lines: dict[Location, int], small: bool
) -> tuple[dict[str, Any], dict[Location, int]]:
    """The sweep that is asked for, and the line of each of its keys and list items.

    Raises:
        BadInput: there is no small variant, or it is not a mapping.
    """
    line = lines.get((KEY,), 1)
    over = data.get(KEY, {})
    if not isinstance(over, dict):
        raise BadInput(
            f"{path}:{line}: '{KEY}' is {over!r}, but must be a mapping of keys to values"
        )
    whole = {key: value for key, value in data.items() if key != KEY}
    if not small:
        return whole, lines
    if KEY not in data:
        raise BadInput(
            f"{path}: the sweep has no small variant: put what it does otherwise under a key "
            f"'{KEY}', or leave --small out"
        )
    merged, merged_lines = _over(whole, over, lines, (KEY,), ())
    if isinstance(merged.get("name"), str) and "name" not in over:
        merged["name"] += f"-{KEY}"
    return merged, merged_lines


def _over(
    under: dict[str, Any],
    over: dict[str, Any],
    lines: dict[Location, int],
    source: Location,
    place: Location,
) -> tuple[dict[str, Any], dict[Location, int]]:
    """``over``, which stands at ``source`` in the file, put over what stands at ``place``."""
    merged, lines = dict(under), dict(lines)
    for key, value in over.items():
        here, there = (*place, key), (*source, key)
        if isinstance(value, dict) and isinstance(under.get(key), dict):
            merged[key], lines = _over(under[key], value, lines, there, here)
            continue
        merged[key] = value
        lines = {at: line for at, line in lines.items() if at[: len(here)] != here}
        moved = {
            (*here, *at[len(there) :]): line
            for at, line in lines.items()
            if at[: len(there)] == there
        }
        lines |= moved
    return merged, lines
