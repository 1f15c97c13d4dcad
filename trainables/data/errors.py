"""What is wrong with data, in one sentence."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataError(ValueError):
    """Data that is missing, damaged or not what it should be: one clear sentence."""


def unusable(path: Path, what: str) -> DataError:
    """The error of a file that cannot be used: ``what`` follows its name."""
    return DataError(f"{path} {what}: replace it, or delete it to have it downloaded")


def reason(error: BaseException) -> str:
    """The words of the error at the root: "Connection refused", not who called whom."""
    while error.__context__ is not None:
        error = error.__context__
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split()) or type(error).__name__


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns whatever the standard library raises over a damaged file into :class:`DataError`."""
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
        RuntimeError,  # of zipfile: encrypted, or compressed in a way that it does not know
        zlib.error,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
    ) as error:
        raise unusable(path, f"cannot be read ({reason(error)})") from error
