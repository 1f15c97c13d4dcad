"""Turns each error that pydantic finds in a sweep file into one sentence with file and line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.spec.yaml_lines import KeyPath, line_of, sentence
from trainables.registry import nearest

MOST_MISTAKES = 100  # sentences about one file


class SpecError(ValueError):
    """A validator raises this error when it finds a mistake in a sweep file.

    Args:
        message: full sentence for the user.
        location: keys and list indices that lead to the mistake, from the pydantic model whose
            validator raises the error.
    """

    def __init__(self, message: str, *location: str | int) -> None:
        super().__init__(message)
        self.location = location


def sentences(
    error: ValidationError, root: type[BaseModel], path: Path, lines: Mapping[KeyPath, int]
) -> list[str]:
    """Return one line for each mistake: ``file:line: what is wrong and what would be right``.

    Args:
        error: errors of the validation.
        root: model that was validated.
        path: path of the sweep file.
        lines: line of each key and list item of the file.

    Returns:
        The lines in the order of the file.
    """
    details = sorted(
        ((line_of(lines, _location(detail)), detail) for detail in error.errors()),
        key=lambda numbered: numbered[0],
    )
    shown = sorted((line, sentence(_sentence(d, root))) for line, d in details[:MOST_MISTAKES])
    left = len(details) - len(shown)
    return [
        *(f"{path}:{line}: {text}" for line, text in shown),
        *([f"{path}: {left:,} more mistakes"] if left else []),
    ]


def _location(detail: ErrorDetails) -> KeyPath:
    mistake = detail.get("ctx", {}).get("error")
    return (*detail["loc"], *(mistake.location if isinstance(mistake, SpecError) else ()))


def _sentence(detail: ErrorDetails, root: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key '{key}'{nearest(key, _fields_at(root, detail['loc'][:-1]))}"
        case "missing":
            return f"the key '{where}' is missing"
        case "value_error":
            return str(detail["ctx"]["error"])
        case "model_type" | "model_attributes_type":
            shape = "a mapping of keys to values"
            if "name" in _fields_at(root, detail["loc"]):
                shape = "a name or {name: .., options: {..}}"
            return f"'{where}' is {detail['input']!r}, but must be {shape}"
        case "list_type":
            return f"'{where}' is {detail['input']!r}, but must be a list, like [{detail['input']}]"
        case "string_pattern_mismatch":
            return (
                f"'{where}' is {detail['input']!r}, but must be made of letters, digits, '.', '_' "
                "and '-', and begin with a letter or digit"
            )
        case "too_short":
            return f"'{where}' is an empty list: give at least one"
        case "too_long":
            most, actual = detail["ctx"]["max_length"], detail["ctx"]["actual_length"]
            return (
                f"'{where}' is a list of {actual or len(detail['input']):,}, but may have {most:,}"
            )
        case "string_type" if isinstance(detail["input"], bool):
            return (
                f"'{where}' is {str(detail['input']).lower()}, but must be a valid string: words "
                "like yes, no, on and off are texts in quotes only"
            )
        case "string_too_long":
            most = detail["ctx"]["max_length"]
            return f"'{where}' has {len(detail['input'])} characters, but may have {most}"
    message = detail["msg"].removeprefix("Input should be ")
    return f"'{where}' is {detail['input']!r}, but must be {message}"


def _fields_at(root: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the keys that the mapping at ``location`` may have; none if no mapping is there."""
    model: Any = root
    for part in location:
        if isinstance(part, str):
            model = model.model_fields[part].annotation
        while not isinstance(model, type) or not issubclass(model, BaseModel):
            # Unwrap list[X], Annotated[X, ..] and X | None.
            arguments = [a for a in getattr(model, "__args__", ()) if a is not type(None)]
            if not arguments:
                return []
            model = arguments[0]
    return list(model.model_fields)
