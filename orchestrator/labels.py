"""What tables and commands call an architecture or a task."""

from collections.abc import Mapping
from typing import Any


def make_label(name: str, options: Mapping[str, Any]) -> str:
    """How tables call something: its name, and the options that were given."""
    given = ", ".join(f"{key}={_written(value)}" for key, value in sorted(options.items()))
    return f"{name}({given})" if given else name


def _written(value: Any) -> str:
    """As in the file: ``true``, not ``True``."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
