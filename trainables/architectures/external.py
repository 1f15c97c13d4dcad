"""Architectures of a user's own package, by dotted path."""

import dataclasses
import importlib
import sysconfig
import traceback
from pathlib import Path
from typing import TypeGuard, get_type_hints

import torch

from trainables.architectures.layer import Layer, StackOptions
from trainables.registry import OptionError, describe, nearest


def load(path: str) -> type[Layer]:
    """The class at ``path``, ``package.module:Class``.

    Raises:
        OptionError: the module cannot be imported, has no such class, or it is no architecture.
    """
    module_name, _, name = path.partition(":")
    if not (module_name and name) or module_name.startswith("."):
        raise OptionError(f"architecture '{path}' is no path such as mypackage.cells:MyCell")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise OptionError(
            f"architecture '{path}' cannot be imported: {why(error, module_name)}"
        ) from error
    found = getattr(module, name, None)
    if found is None:
        there = [key for key, value in vars(module).items() if _is_layer(value)]
        raise OptionError(f"module '{module_name}' has no '{name}'{nearest(name, there)}")
    if not _is_layer(found):
        raise OptionError(
            f"architecture '{path}' is no architecture: it must be a class that extends "
            "trainables.architectures.cell.Cell (or layer.Layer)"
        )
    for attribute in ("summary", "source"):
        if not isinstance(getattr(found, attribute, None), str):
            raise OptionError(f"architecture '{path}' lacks the class attribute '{attribute}'")
    _check_options_class(path, found.Options)
    return found


def _check_options_class(path: str, options: object) -> None:
    if not (
        isinstance(options, type)
        and issubclass(options, StackOptions)
        and "__dataclass_fields__" in vars(options)  # not inherited
    ):
        raise OptionError(
            f"the Options of architecture '{path}' must extend "
            "trainables.architectures.layer.StackOptions and be decorated with "
            "@dataclass(frozen=True)"
        )
    try:
        hints = get_type_hints(options)
        for field in dataclasses.fields(options):
            describe(hints[field.name])
    except (KeyError, NameError) as error:
        raise OptionError(
            f"the Options of architecture '{path}' have a type that a sweep file cannot give "
            f"({error}): use float, int, bool, str, Literal, or tuples and unions of these"
        ) from error


def _is_layer(value: object) -> TypeGuard[type[Layer]]:
    return isinstance(value, type) and issubclass(value, Layer)


def why(error: BaseException, module: str = "") -> str:
    """What happened and where in the user's files, on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and module.split(".")[0] == error.name:
        return (
            f"{text}; its package must be installed, or lie in the folder in which soundings is "
            "called"
        )
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_of_the_user(Path(frame.filename))
    ]
    where = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{where}{type(error).__name__}{': ' if text else ''}{text}"


def _is_of_the_user(file: Path) -> bool:
    """Not Python's, PyTorch's or ours."""
    others = Path(torch.__file__).parent, Path(__file__).parents[1]
    standard = file.is_relative_to(sysconfig.get_path("stdlib"))
    return (
        file.is_file()
        and not any(file.is_relative_to(other) for other in others)
        and not (standard and "site-packages" not in file.parts)
    )
