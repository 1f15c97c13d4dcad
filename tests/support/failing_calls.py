"""Makes calls of the operating system fail on the files of a folder, as bad disks make them."""

import builtins
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

# The functions that stand for a system call; Python's libraries look them up at every call.
CALLS: dict[str, list[tuple[Any, str]]] = {
    "open": [(io, "open"), (builtins, "open"), (pq, "ParquetFile")],
    "read": [(Path, "read_text"), (Path, "read_bytes")],
    "rename": [(os, "rename"), (os, "replace")],
    "unlink": [(os, "unlink")],
    "mkdir": [(os, "mkdir")],
    "listdir": [(os, "listdir"), (os, "scandir")],
    "stat": [(os, "stat"), (os, "lstat")],
    "fsync": [(os, "fsync")],
}
NAMELESS = ("read", "fsync")  # calls on open files: their errors name no file


class FailingCalls:
    """Lets one kind of call fail on the files of a folder, in the thread that made this object.

    Args:
        patch: fixture that undoes the changes.
        folder: folder whose files are affected.

    Attributes:
        seen: number of calls of that kind since :meth:`fail`.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch, self._folder = patch, str(folder)
        self._thread = threading.get_ident()
        self.seen = 0

    def fail(self, call: str, number: int, first: int, once: bool) -> None:
        """Let calls fail from now on.

        Args:
            call: kind of the calls, a key of ``CALLS``.
            number: number of the error.
            first: first call that fails, from 0.
            once: whether the calls after it succeed again.
        """
        self.seen = 0
        for module, name in CALLS[call]:
            self._replace(module, name, call, number, lambda n: n == first if once else n >= first)

    def _replace(
        self, module: Any, name: str, call: str, number: int, fails: Callable[[int], bool]
    ) -> None:
        real = getattr(module, name)

        def replaced(where: Any = ".", *arguments: Any, **options: Any) -> Any:
            if threading.get_ident() == self._thread and self._affects(call, where):
                self.seen += 1
                if fails(self.seen - 1):
                    if module is pq:
                        shown = f"Failed to open local file '{where}'. Detail: [errno {number}]"
                        raise OSError(number, f"{shown} {os.strerror(number)}")
                    named = () if call in NAMELESS else (str(where),)
                    raise OSError(number, os.strerror(number), *named)
            return real(where, *arguments, **options)

        self._patch.setattr(module, name, replaced)

    def _affects(self, call: str, where: Any) -> bool:
        if call == "fsync":
            return True
        if not isinstance(where, str | os.PathLike):
            return False
        return os.path.abspath(where).startswith(self._folder)  # noqa: PTH100, resolve calls stat
