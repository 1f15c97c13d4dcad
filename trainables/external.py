"""Architectures and tasks of a user's own package, by dotted path."""

import dataclasses
import importlib
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeGuard, TypeVar, get_type_hints

import torch

from trainables.registry import OptionError, describe, lookup, nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What may be named by a dotted path.

    Attributes:
        name: "architecture" or "task".
        base: the class that it must extend.
        home: where users find that class.
        options: the class that its ``Options`` must extend, if any.
        example: a path.
        texts: class attributes that it must have.
    """

    name: str
    base: type[T]
    home: str
    options: type | None
    example: str
    texts: tuple[str, ...]

    def find(self, registry: dict[str, type[T]], name: str) -> type[T]:
        """The class of a registered name, or of a path such as ``mypackage.cells:MyCell``.

        Raises:
            OptionError: there is none; the message says what was looked for, or names the nearest.
        """
        if ":" in name:
            return self.load(name)
        module, dot, last = name.rpartition(".")
        if dot:
            raise OptionError(f"{self.name} '{name}' is no path: did you mean '{module}:{last}'?")
        return lookup(self.name, registry, name)

    def load(self, path: str) -> type[T]:
        """The class at ``path``, ``package.module:Class``.

        Raises:
            OptionError: the module cannot be imported, has no such class, or it is none of these.
        """
        module_name, _, name = path.partition(":")
        if not (module_name and name) or module_name.startswith("."):
            raise OptionError(f"{self.name} '{path}' is no path such as {self.example}")
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:  # whatever the user's module raises
            raise OptionError(
                f"{self.name} '{path}' cannot be imported: {why(error, module_name)}"
            ) from error
        found = getattr(module, name, None)
        if found is None:
            there = [key for key, value in vars(module).items() if self._is_one(value)]
            raise OptionError(f"module '{module_name}' has no '{name}'{nearest(name, there)}")
        if not self._is_one(found):
            raise OptionError(
                f"{self.name} '{path}' is no {self.name}: it must be a class that extends "
                f"{self.home}"
            )
        for attribute in self.texts:
            if not isinstance(getattr(found, attribute, None), str):
                raise OptionError(f"{self.name} '{path}' lacks the class attribute '{attribute}'")
        self._check_options_class(path, getattr(found, "Options", None))
        return found

    def _is_one(self, value: Any) -> TypeGuard[type[T]]:
        return isinstance(value, type) and issubclass(value, self.base)

    def _check_options_class(self, path: str, options: Any) -> None:
        if options is None and self.options is None:
            raise OptionError(
                f"{self.name} '{path}' lacks the class attribute 'Options': a class decorated with "
                "@dataclass(frozen=True), or trainables.registry.NoOptions"
            )
        if not (
            isinstance(options, type)
            and issubclass(options, self.options or object)
            and "__dataclass_fields__" in vars(options)  # not inherited
        ):
            extend = ""
            if self.options is not None:
                extend = f"extend {self.options.__module__}.{self.options.__name__} and "
            raise OptionError(
                f"the Options of {self.name} '{path}' must {extend}be decorated with "
                "@dataclass(frozen=True)"
            )
        try:
            hints = get_type_hints(options)
            for field in dataclasses.fields(options):  # type: ignore[arg-type]
                describe(hints[field.name])
        except (KeyError, NameError) as error:
            raise OptionError(
                f"the Options of {self.name} '{path}' have a type that a sweep file cannot give "
                f"({error}): use float, int, bool, str, Literal, or tuples and unions of these"
            ) from error


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
    others = Path(torch.__file__).parent, Path(__file__).parent
    standard = file.is_relative_to(sysconfig.get_path("stdlib"))
    return (
        file.is_file()
        and not any(file.is_relative_to(other) for other in others)
        and not (standard and "site-packages" not in file.parts)
    )
