"""Makes a command's process independent of odd surroundings: streams, variables, the umask.

What is prepared here holds for the processes that the command starts, too.
"""

import errno
import getpass
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TextIO

from orchestrator.cli.terminal import is_width
from orchestrator.errors import BadInput

# Variables by which libraries choose threads and bind them to cores. Batch systems and start files
# of shells set them to the cores of a node. Every trial would take so many, or would be bound to
# the same core as the others, and some libraries refuse to start with a malformed value.
THREADS = (
    *("MKL_NUM_THREADS", "MKL_DOMAIN_NUM_THREADS", "MKL_DYNAMIC", "KMP_AFFINITY"),
    *("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS", "NUMBA_NUM_THREADS"),
)
THREADS_PREFIXES = ("OMP_", "GOMP_")
WIDTHS = ("COLUMNS", "LINES", "TERMINAL_WIDTH")  # libraries take them for whole numbers
OWNER_BITS = 0o700


def in_any_surroundings(main: Callable[[], None]) -> Callable[[], None]:
    """Return ``main`` so that it runs with prepared streams and variables."""

    @wraps(main)
    def prepared() -> None:
        _prepare_process()
        with _safe_output():
            main()

    return prepared


def search_calling_folder_last() -> None:
    """Let this process find a user's own modules in the folder in which it was called.

    It is searched last: a ``numpy.py`` there must not hide the installed one.

    Raises:
        BadInput: the folder does not exist any more, or must not be entered.
    """
    try:
        sys.path.append(str(Path.cwd()))
    except OSError as error:
        raise BadInput(
            f"the folder in which this command was called cannot be used ({error.strerror}): "
            "change to another folder, or enter it again with 'cd'"
        ) from error


def _prepare_process() -> None:
    for name in list(os.environ):
        if name in THREADS or name.startswith(THREADS_PREFIXES):
            del os.environ[name]
    for name in WIDTHS:
        if name in os.environ and not is_width(os.environ[name]):
            del os.environ[name]
    # Warnings of libraries are no errors, neither here nor in the processes of a run.
    os.environ.pop("PYTHONWARNINGS", None)
    kept = [rule for rule in warnings.filters if rule[0] != "error"]
    warnings.filters[:] = kept  # type: ignore[index]  # it is a list
    os.umask(os.umask(0o077) & ~OWNER_BITS)  # a user can read what he writes
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the user has no name; libraries want to know it
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:  # the user has no home; libraries form paths in it
        os.environ["HOME"] = os.devnull


class Output:
    """Writes texts to a standard stream as well as that is possible.

    Characters that the stream's encoding lacks become question marks. Once the stream refuses a
    text, this one and all later ones go nowhere: a run goes on though nobody listens.

    Args:
        stream: the standard stream.

    Attributes:
        error: why the stream refused a text; None if it took all.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        """Write a text and return its length."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
        except RuntimeError:
            pass  # a signal's handler wrote in the middle of another text
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)
        except RuntimeError:
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        self.error = self.error or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def _safe_output() -> Iterator[None]:
    """Replace the standard streams by such that never fail while the block runs.

    Raises:
        SystemExit: the block did well, but its output could not be written; exit code 1. A reader
            that has gone, as in ``| head``, is no failure.
    """
    _open_closed_streams()
    before = sys.stdout, sys.stderr
    output, errors = Output(sys.stdout), Output(sys.stderr)
    sys.stdout, sys.stderr = output, errors
    code: Any = 0
    try:
        yield
    except SystemExit as ended:
        code = ended.code
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before
    if not code and output.error is not None and output.error.errno != errno.EPIPE:
        print(f"the output could not be written: {output.error.strerror}", file=sys.stderr)
        code = 1
    sys.exit(code)


def _open_closed_streams() -> None:
    """Open closed standard streams on nothing.

    Otherwise the next file that is opened would get their number, and what a library prints.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
