"""The small variant of a sweep: the same file, with what stands under ``small`` put over it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.spec import yaml_lines
from orchestrator.spec.yaml_lines import KeyPath

KEY = "small"


def has_variant(path: Path) -> bool:
    """Whether a sweep file has a small variant."""
    return KEY in yaml_lines.load(path)[0]


def variant(
    path: Path, data: dict[str, Any], lines: dict[KeyPath, int], small: bool
) -> tuple[dict[str, Any], dict[KeyPath, int]]:
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
    places = dict(lines)
    merged = _over(whole, over, lines, places, (KEY,), ())
    if isinstance(merged.get("name"), str) and "name" not in over:
        merged["name"] += f"-{KEY}"
    return merged, places


def _over(
    under: dict[str, Any],
    over: dict[str, Any],
    lines: Mapping[KeyPath, int],
    places: dict[KeyPath, int],
    source: KeyPath,
    place: KeyPath,
) -> dict[str, Any]:
    """``over``, which stands at ``source`` in the file, put over what stands at ``place``.

    Args:
        lines: of the file.
        places: the same for the result, changed in place.
    """
    merged = dict(under)
    for key, value in over.items():
        here, there = (*place, key), (*source, key)
        if isinstance(value, dict) and isinstance(under.get(key), dict):
            merged[key] = _over(under[key], value, lines, places, there, here)
            continue
        merged[key] = value
        for at in [at for at in places if at[: len(here)] == here]:
            del places[at]
        for at, line in lines.items():
            if at[: len(there)] == there:
                places[(*here, *at[len(there) :])] = line
    return merged
