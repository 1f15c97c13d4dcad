"""Architectures of a user's own package, by dotted path."""

import dataclasses
import importlib
import traceback
from typing import TypeGuard

from trainables.architectures.layer import Layer, StackOptions
from trainables.registry import OptionError, nearest


def load(path: str) -> type[Layer]:
    """The class at ``path``, ``package.module:Class``.

    Raises:
        OptionError: the module cannot be imported, has no such class, or it is no architecture.
    """
    module_name, _, name = path.partition(":")
    if not (module_name and name):
        raise OptionError(f"architecture '{path}' is no path such as mypackage.cells:MyCell")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module raises
        raise OptionError(f"architecture '{path}' cannot be imported: {_why(error)}") from error
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
    options: object = found.Options
    if not (
        isinstance(options, type)
        and issubclass(options, StackOptions)
        and dataclasses.is_dataclass(options)
    ):
        raise OptionError(
            f"architecture '{path}' has Options that are no dataclass extending "
            "trainables.architectures.layer.StackOptions"
        )
    return found


def _why(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{error}; its package must be installed, or lie in the folder in which soundings is "
            "called"
        )
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}: {type(error).__name__}: {error}"


def _is_layer(value: object) -> TypeGuard[type[Layer]]:
    return isinstance(value, type) and issubclass(value, Layer)
