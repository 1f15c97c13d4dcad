"""Applies the small variant of a sweep file: its key ``small`` replaces parts of the file."""

from collections.abc import Container, Mapping
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
    replaced: dict[KeyPath, KeyPath] = {}
    merged = _merge(full, variant, (), replaced)
    merged_lines = _lines_of_merged(lines, replaced)
    if isinstance(merged.get("name"), str) and "name" not in variant:
        merged["name"] += f"-{KEY}"
    return merged, merged_lines


def _merge(
    base: dict[str, Any],
    variant: dict[str, Any],
    place: KeyPath,
    replaced: dict[KeyPath, KeyPath],
) -> dict[str, Any]:
    """Return a mapping of the full sweep with the variant's values in place of its own.

    Args:
        base: mapping of the full sweep.
        variant: mapping of the variant.
        place: path of ``base`` in the file.
        replaced: gets the path of each value of the result that is the variant's, with the path at
            which the file has it.
    """
    merged = dict(base)
    for key, value in variant.items():
        inner = (*place, key)
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merge(base[key], value, inner, replaced)
        else:
            merged[key] = value
            replaced[inner] = (KEY, *inner)
    return merged


def _lines_of_merged(
    lines: Mapping[KeyPath, int], replaced: Mapping[KeyPath, KeyPath]
) -> dict[KeyPath, int]:
    """Return the line of each key and list item of the full sweep with the variant's values.

    Args:
        lines: line of each key and list item of the file.
        replaced: paths of the variant's values in the result and in the file, from :func:`_merge`.
    """
    targets = {source: target for target, source in replaced.items()}
    merged = {place: line for place, line in lines.items() if not _within(place, replaced)}
    for place, line in lines.items():
        if source := _within(place, targets):
            merged[(*targets[source], *place[len(source) :])] = line
    return merged


def _within(place: KeyPath, others: Container[KeyPath]) -> KeyPath:
    """Return the one of ``others`` that a place is or lies in, or the empty path."""
    beginnings = (place[:length] for length in range(1, len(place) + 1))
    return next((beginning for beginning in beginnings if beginning in others), ())
