"""Imports and checks architectures and tasks of a user's own package, named by a dotted path."""

import dataclasses
import importlib
import signal
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeGuard, TypeVar, get_type_hints

import torch

from trainables.data import DataError
from trainables.plain_text import text_of
from trainables.registry import OptionError, describe, lookup, nearest

T = TypeVar("T")
LONGEST_REASON = 1000  # characters of an exception's message in a sentence


@dataclass(frozen=True)
class Kind(Generic[T]):
    """Describes a kind of class that a sweep file can name by a dotted path.

    Attributes:
        name: "architecture" or "task".
        base: base class that a class of this kind must extend.
        home: import path of the base class, for error messages.
        options: base class that the nested ``Options`` class must extend; None if ``Options`` may
            be any frozen dataclass.
        example: example of a dotted path, for error messages.
        texts: names of class attributes that a class of this kind must define as strings.
    """

    name: str
    base: type[T]
    home: str
    options: type | None
    example: str
    texts: tuple[str, ...]

    def find(self, registry: dict[str, type[T]], name: str) -> type[T]:
        """Return the class with a registered name or a path such as ``mypackage.cells:MyCell``.

        Args:
            registry: registered classes by name.
            name: registered name, or dotted path with a colon before the class.

        Raises:
            OptionError: there is no such class, or it is unsuitable; the message says why, or
                names the nearest registered name.
        """
        if ":" in name:
            return self.load(name)
        module, dot, last = name.rpartition(".")
        if dot:
            raise OptionError(f"{self.name} '{name}' is no path: did you mean '{module}:{last}'?")
        return lookup(self.name, registry, name)

    def load(self, path: str) -> type[T]:
        """Import and return the class at ``path``, written as ``package.module:Class``.

        Raises:
            OptionError: the path is malformed, the module cannot be imported or has no such class,
                or the class is not a complete class of this kind.
        """
        module_name, _, name = path.partition(":")
        if not (module_name and name) or module_name.startswith("."):
            raise OptionError(f"{self.name} '{path}' is no path such as {self.example}")
        with users_code(f"{self.name} '{path}' cannot be imported", (), module_name):
            module = importlib.import_module(module_name)
        candidate = getattr(module, name, None)
        if candidate is None:
            available = [key for key, value in vars(module).items() if self._extends_base(value)]
            raise OptionError(f"module '{module_name}' has no '{name}'{nearest(name, available)}")
        if not self._extends_base(candidate):
            raise OptionError(
                f"{self.name} '{path}' is no {self.name}: it must be a class that extends "
                f"{self.home}"
            )
        for attribute in self.texts:
            if not isinstance(getattr(candidate, attribute, None), str):
                raise OptionError(f"{self.name} '{path}' lacks the class attribute '{attribute}'")
        self._check_options_class(path, getattr(candidate, "Options", None))
        return candidate

    def _extends_base(self, value: Any) -> TypeGuard[type[T]]:
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
            # vars() lacks what is inherited: a decorated base class is not enough.
            and "__dataclass_fields__" in vars(options)
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


@contextmanager
def users_code(
    what: str,
    passing: tuple[type[Exception], ...] = (OptionError, DataError),
    module: str = "",
) -> Iterator[None]:
    """Turn whatever a user's code raises in the block into an OptionError, which is one sentence.

    A Ctrl-C passes; a KeyboardInterrupt that the code itself raises does not.

    Args:
        what: beginning of the sentence, such as ``task 'own:Mine' does not work``.
        passing: errors that pass, because they say themselves what is wrong.
        module: dotted name of the module that is imported in the block, empty if none is.

    Raises:
        OptionError: the code raised another exception.
    """
    with _interrupts_told_apart() as interrupted:
        try:
            yield
        except passing:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and interrupted():
                raise
            raise OptionError(f"{what}: {why(error, module)}") from error


@contextmanager
def _interrupts_told_apart() -> Iterator[Callable[[], bool]]:
    """Provide a function that returns whether a real SIGINT came while the block ran.

    The handler of SIGINT is called as without the block. Only the main thread is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []
    handler = signal.getsignal(signal.SIGINT) or signal.SIG_DFL

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if callable(handler):
            handler(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(came)
    finally:
        if signal.getsignal(signal.SIGINT) is handle:  # else the handler has put another one there
            signal.signal(signal.SIGINT, handler)


def why(error: BaseException, module: str = "") -> str:
    """Return what went wrong and where in the user's files, on one line.

    Args:
        error: exception that the user's code raised.
        module: dotted name of the module that was being imported, empty if none was.
    """
    text = " ".join(text_of(error, LONGEST_REASON).split())
    if isinstance(error, ModuleNotFoundError) and module.split(".")[0] == error.name:
        return (
            f"{text}; its package must be installed, or lie in the folder in which soundings is "
            "called"
        )
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_user_file(Path(frame.filename))
    ]
    where = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{where}{type(error).__name__}{': ' if text else ''}{text}"


def _is_user_file(file: Path) -> bool:
    """Return whether ``file`` exists and is not part of Python, PyTorch or this package."""
    packages = Path(torch.__file__).parent, Path(__file__).parent
    below_stdlib = file.is_relative_to(sysconfig.get_path("stdlib"))
    return (
        file.is_file()
        and not any(file.is_relative_to(package) for package in packages)
        # site-packages, where a user's package may be installed, lies in the same folder.
        and not (below_stdlib and "site-packages" not in file.parts)
    )
