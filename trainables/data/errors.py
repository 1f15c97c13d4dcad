"""Turn errors about data files into one clear sentence."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataError(ValueError):
    """A data error says in one sentence which data are missing, damaged or of the wrong kind."""


def unusable(path: Path, what: str) -> DataError:
    """Return the error for a file that cannot be used.

    Args:
        path: file or folder.
        what: rest of the sentence that begins with the path, such as "is empty".
    """
    return DataError(f"{path} {what}: replace it, or delete it to have it downloaded")


def reason(error: BaseException) -> str:
    """Return the message of an error's root cause on one line, such as "Connection refused"."""
    while error.__context__ is not None:
        error = error.__context__
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(message.split()) or type(error).__name__


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert errors of reading a file into :class:`DataError`.

    Args:
        path: file or folder that is read in the ``with`` block.

    Raises:
        DataError: the standard library raises an error that a missing or damaged file can cause.
    """
    try:
        yield
    except DataError:
        raise
    except EOFError as error:
        raise unusable(path, "is cut short") from error
    except (
        OSError,
        ValueError,
        OverflowError,
        RuntimeError,  # raised by zipfile for encrypted files and unknown compression methods
        zlib.error,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
    ) as error:
        raise unusable(path, f"cannot be read ({reason(error)})") from error
