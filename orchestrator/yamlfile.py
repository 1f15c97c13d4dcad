"""YAML that remembers its lines: safe, no key twice, numbers as people write them."""

import re
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import BadInput

Location = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads ``1e-3`` as a string; here it is a number, as in YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(_\d+)*\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """The mapping in the file at ``path`` and the line of each key and list item in it.

    Raises:
        BadInput: no such file, not YAML, a key given twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"{path}: cannot read the sweep file: {reason}") from error
    lines: dict[Location, int] = {}
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            kind = {yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}
            found = kind.get(type(node), "empty")
            raise BadInput(
                f"{path}:1: a sweep file must be a mapping of keys to values, but this is {found}"
            )
        _record(path, node, (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise BadInput(f"{path}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: not valid YAML: {error}") from error
    finally:
        loader.dispose()


def line_of(lines: dict[Location, int], location: Location) -> int:
    """The line of ``location``, or of the innermost part of it that is in the file."""
    while location and location not in lines:
        location = location[:-1]
    return lines.get(location, 1)


def _record(path: Path, node: yaml.Node, location: Location, lines: dict[Location, int]) -> None:
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            line = key.start_mark.line + 1
            if name in seen:
                raise BadInput(f"{path}:{line}: the key '{name}' is given twice")
            seen.add(name)
            lines[(*location, name)] = line
            _record(path, value, (*location, name), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _record(path, value, (*location, index), lines)
