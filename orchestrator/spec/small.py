"""Applies the small variant of a sweep file: its key ``small`` replaces parts of the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.spec import yaml_lines
from orchestrator.spec.yaml_lines import KeyPath

KEY = "small"


def has_variant(path: Path) -> bool:
    """Return whether a sweep file has a small variant."""
    return KEY in yaml_lines.load(path)[0]


def apply_small(
    path: Path, data: dict[str, Any], lines: dict[KeyPath, int], small: bool
) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Return the content of a sweep file with or without its small variant applied.

    The variant is the mapping under the key ``small``. Its mappings are merged into those of the
    file key by key; any other value replaces the file's value. "-small" is added to the sweep's
    name, unless the variant has a name of its own. The key ``small`` itself is removed.

    Args:
        path: path of the sweep file, for messages.
        data: content of the file.
        lines: line of each key and list item of the file.
        small: whether to apply the variant.

    Returns:
        The content, and the line of each of its keys and list items.

    Raises:
        BadInput: the value of ``small`` is not a mapping, or there is none to apply.
    """
    line = lines.get((KEY,), 1)
    variant = data.get(KEY, {})
    if not isinstance(variant, dict):
        raise BadInput(
            f"{path}:{line}: '{KEY}' is {variant!r}, but must be a mapping of keys to values"
        )
    full = {key: value for key, value in data.items() if key != KEY}
    if not small:
        return full, lines
    if KEY not in data:
        raise BadInput(
            f"{path}: the sweep has no small variant: put what it does otherwise under a key "
            f"'{KEY}', or leave --small out"
        )
    merged_lines = dict(lines)
    merged = _merge(full, variant, lines, merged_lines, (KEY,), ())
    if isinstance(merged.get("name"), str) and "name" not in variant:
        merged["name"] += f"-{KEY}"
    return merged, merged_lines


def _merge(
    base: dict[str, Any],
    replacement: dict[str, Any],
    lines: Mapping[KeyPath, int],
    merged_lines: dict[KeyPath, int],
    source: KeyPath,
    target: KeyPath,
) -> dict[str, Any]:
    """Return a mapping of the full sweep with the variant's values in place of its own.

    Args:
        base: mapping of the full sweep.
        replacement: mapping of the variant.
        lines: line of each key and list item of the file.
        merged_lines: line of each key and list item of the result, changed in place.
        source: path of ``replacement`` in the file, which begins with ``small``.
        target: path of ``base`` in the file and in the result.
    """
    merged = dict(base)
    for key, value in replacement.items():
        key_target, key_source = (*target, key), (*source, key)
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merge(base[key], value, lines, merged_lines, key_source, key_target)
            continue
        merged[key] = value
        # The lines of the replaced value go, those of the new value take their place.
        for inner in [inner for inner in merged_lines if inner[: len(key_target)] == key_target]:
            del merged_lines[inner]
        for inner, line in lines.items():
            if inner[: len(key_source)] == key_source:
                merged_lines[(*key_target, *inner[len(key_source) :])] = line
    return merged
