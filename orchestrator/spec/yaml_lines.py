"""Reads YAML safely, with the line number of every key and item, and refuses duplicate keys.

A number is decimal. PyYAML reads YAML 1.1, in which ``010`` is eight and ``1:30`` is ninety; other
readers take them for ten and for a text. What readers disagree about is refused.
"""

import math
import re
import stat
from collections.abc import Mapping
from datetime import date
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
MOST_BYTES = 1_000_000  # of a file; a megabyte takes half a minute to read
MOST_SHOWN = 600  # characters of a sentence about the file

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
DIGITS = r"[0-9]+(_[0-9]+)*"
# Decimal numbers as YAML 1.1 and 1.2 read them alike: 0, -3, 10_000, 0.5, .5, 1., 1e-3, .inf, .nan.
DECIMAL = re.compile(
    rf"[-+]?(0|[1-9](_?[0-9])*)"
    rf"|[-+]?({DIGITS}\.({DIGITS})?|\.{DIGITS})([eE][-+]?[0-9]+)?|[-+]?{DIGITS}[eE][-+]?[0-9]+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
# Whole numbers of other bases than ten, with a leading zero, or with an underscore out of place.
NOT_DECIMAL = r"[-+]?(0[0-9_]+|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|0[bB][01_]+|[0-9][0-9_]*)"


class _Refused(yaml.MarkedYAMLError):
    """A value is YAML, but none that a sweep file may have."""


class _Loader(yaml.SafeLoader):
    """Reads ``1e-3`` and ``-.5`` as numbers, as YAML 1.2 does; in YAML 1.1 they are texts.

    PyYAML's constructors raise errors of many kinds for a scalar that does not fit its tag or its
    looks (``!!bool maybe``, ``2001-13-45``). This loader turns them into an error with a line.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag in NUMBERS and isinstance(node, yaml.ScalarNode) and node.value:
            _require_decimal(node)
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
        if isinstance(value, float) and math.isinf(value) and "i" not in node.value.lower():
            problem = f"{node.value[:40]!r} is beyond the numbers that a computer holds"
            raise _Refused(problem=problem, problem_mark=node.start_mark)
        if isinstance(value, date):
            problem = f"{node.value!r} is a date, which no value is; a text stands in quotes"
            raise _Refused(problem=problem, problem_mark=node.start_mark)
        if isinstance(value, str) and not _is_text(value):
            problem = f"{value[:40]!r} holds a character that is none of any text"
            raise _Refused(problem=problem, problem_mark=node.start_mark)
        return value


def _require_decimal(node: yaml.ScalarNode) -> None:
    if not DECIMAL.fullmatch(node.value):
        problem = (
            f"{node.value[:40]!r} is no decimal number, such as 300, 10_000 or 1e-3; a text stands "
            "in quotes"
        )
        raise _Refused(problem=problem, problem_mark=node.start_mark)


def _is_text(value: str) -> bool:
    """Return whether a text can be written to files and used in names: no NUL, no surrogate."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(rf"^[-+]?(({DIGITS}\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+|\.[0-9]+)$"),
    list("-+.0123456789"),
)
# What another reader of YAML takes for a number is one here, too, and is then refused.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(f"^({NOT_DECIMAL})$"), list("-+0123456789")
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
    text = _read(path)
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
        prefix = "" if isinstance(error, _Refused) else "not valid YAML: "
        raise BadInput(f"{path}:{line}: {prefix}{sentence(str(error.problem))}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadInput(f"{path}:{line}: not valid YAML: {error.reason}") from error
    except (
        ValueError,
        OverflowError,
    ) as error:  # PyYAML raises these for an escape like "\UFFFFFFFF"
        raise BadInput(f"{path}: not valid YAML: {sentence(str(error))}") from error
    except RecursionError as error:
        raise BadInput(f"{path}: nested too deeply, or an alias inside what it names") from error


def _read(path: Path) -> str:
    """Return the text of a sweep file, which is a file and not a pipe that nobody may fill."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise BadInput(f"{path}: cannot read the sweep file: it is a pipe or a device")
        if status.st_size > MOST_BYTES:
            raise BadInput(
                f"{path}: cannot read the sweep file: it has {status.st_size:,} bytes, but may "
                f"have {MOST_BYTES:,}"
            )
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: cannot read the sweep file: it is not UTF-8 text") from error
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{path}: cannot read the sweep file: {reason}") from error


def sentence(text: str) -> str:
    """Return a sentence about a file fit for one line of a terminal, and not too long for it.

    Whatever the file holds may stand in it: line breaks, control characters, a megabyte of text.
    """
    if len(text) > MOST_SHOWN:
        half = MOST_SHOWN // 2
        text = f"{text[:half]} .. {text[-half:]}"
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


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
                shown = sentence(shown)
                raise BadInput(f"{path}:{line}: a key must be a name, but this is {shown}")
            name = str(key.value)
            if name in names:
                raise BadInput(f"{path}:{line}: the key '{sentence(name)}' is given twice")
            names.add(name)
            lines[(*location, name)] = line
            _record(path, value, (*location, name), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _record(path, value, (*location, index), lines)
