"""Reads YAML safely, with the line number of every key and item, and refuses duplicate keys."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import BadInput

# The keys and list positions that lead from the top of a file to a value:
# ("tasks", 0, "options", "length"). The empty path is the whole file.
KeyPath = tuple[str | int, ...]

# Largest whole number in a file. No sweep needs more, and torch and Parquet store 64 bits.
LARGEST = 10**15
NAMES = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")  # tags that a key may have
# Largest number of values in a file. A value behind an alias counts wherever the alias stands, so
# that nested aliases cannot expand without limit.
MOST = 100_000


class _Loader(yaml.SafeLoader):
    """Reads ``1e-3`` as a number, as YAML 1.2 does; PyYAML's YAML 1.1 reads it as a text.

    PyYAML's constructors raise errors of many kinds for a scalar that does not fit its tag or its
    looks (``!!bool maybe``, ``2001-13-45``). This loader turns them into an error with a line.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            problem = f"{str(node.value)[:40]!r} is no {kind}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error
        if isinstance(value, int) and abs(value) > LARGEST:
            problem = f"a whole number must not be beyond {LARGEST:,}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return value


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(_\d+)*\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Read a YAML file whose content is a mapping.

    Args:
        path: path of the file.

    Returns:
        The mapping, and the line number (from 1) of each key and list item in it.

    Raises:
        BadInput: the file cannot be read, is not YAML, has a key twice, has more than ``MOST``
            values or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"{path}: cannot read the sweep file: {reason}") from error
    lines: dict[KeyPath, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            kind = {yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}
            actual = kind.get(type(node), "empty")
            raise BadInput(
                f"{path}:1: a sweep file must be a mapping of keys to values, but this is {actual}"
            )
        _record(path, node, (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise BadInput(f"{path}:{line}: not valid YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadInput(f"{path}:{line}: not valid YAML: {error.reason}") from error
    except (
        ValueError,
        OverflowError,
    ) as error:  # PyYAML raises these for an escape like "\UFFFFFFFF"
        raise BadInput(f"{path}: not valid YAML: {error}") from error
    except RecursionError as error:
        raise BadInput(f"{path}: nested too deeply, or an alias inside what it names") from error


def line_of(lines: Mapping[KeyPath, int], location: KeyPath) -> int:
    """Return the line of a value, or of the innermost mapping or list around it in the file.

    Args:
        lines: line of each key and list item, from :func:`load`.
        location: path of the value, which the file may lack.
    """
    while location and location not in lines:
        location = location[:-1]
    return lines.get(location, 1)


def _record(path: Path, node: yaml.Node, location: KeyPath, lines: dict[KeyPath, int]) -> None:
    """Add the lines of a node and of everything inside it to ``lines``, and check its keys."""
    lines.setdefault(location, node.start_mark.line + 1)
    if len(lines) > MOST:
        raise BadInput(f"{path}: more than {MOST:,} values; a sweep file has a few dozen")
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag not in NAMES:
                shown = f"'{key.value}'" if isinstance(key, yaml.ScalarNode) else "something else"
                raise BadInput(f"{path}:{line}: a key must be a name, but this is {shown}")
            name = str(key.value)
            if name in names:
                raise BadInput(f"{path}:{line}: the key '{name}' is given twice")
            names.add(name)
            lines[(*location, name)] = line
            _record(path, value, (*location, name), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _record(path, value, (*location, index), lines)
