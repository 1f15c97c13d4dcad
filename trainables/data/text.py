"""Load text8 and tiny-shakespeare as arrays of character codes."""

import string
import zipfile
from pathlib import Path

import numpy as np

from trainables.data.errors import reading, unusable
from trainables.data.files import find, warn_of_a_part
from trainables.data.prepared import from_files

TEXT8_SYMBOLS = " " + string.ascii_lowercase
SHAKESPEARE_SYMBOLS = "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase
_UNKNOWN = 255  # code of a byte that is not a symbol of the text


def text8() -> np.ndarray:
    """Load text8, 100,000,000 characters of Wikipedia.

    The first call on a host converts the file, which needs three bytes of memory per character.

    Returns:
        Positions of the characters in ``TEXT8_SYMBOLS``, uint8 ``[characters]``.

    Raises:
        DataError: the file is missing and cannot be downloaded, is damaged, or is another text.
    """
    path = find("text8", "text8", "text8.zip", checksum="md5:3bea1919949baf155f99411df5fada7e")
    return _codes("text8", path, TEXT8_SYMBOLS, 10**8)


def shakespeare() -> np.ndarray:
    """Load tiny-shakespeare, 1,115,394 characters of Shakespeare's plays.

    Returns:
        Positions of the characters in ``SHAKESPEARE_SYMBOLS``, uint8 ``[characters]``.

    Raises:
        DataError: the file is missing and cannot be downloaded, is damaged, or is another text.
    """
    path = find(
        "tinyshakespeare",
        "input.txt",
        checksum="sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    )
    return _codes("tinyshakespeare", path, SHAKESPEARE_SYMBOLS, 1_115_394)


def _codes(dataset: str, path: Path, symbols: str, full_length: int) -> np.ndarray:
    arrays = from_files(dataset, [path], lambda: {"codes": encode(path, symbols)})
    warn_of_a_part(path, len(arrays["codes"]), full_length, "characters")
    return arrays["codes"]


def encode(path: Path, symbols: str) -> np.ndarray:
    """Encode each character of a text by its position in an alphabet.

    Args:
        path: text file, or a ``.zip`` archive with a file of the same name without ``.zip``.
        symbols: ASCII characters of the alphabet, in the order of their codes.

    Returns:
        Codes, uint8 ``[characters]``.

    Raises:
        DataError: the file is missing, damaged or empty, or has characters outside of the alphabet.
    """
    data = _read(path)
    if not data:
        raise unusable(path, "is empty")
    table = bytearray([_UNKNOWN] * 256)
    for code, symbol in enumerate(symbols):
        table[ord(symbol)] = code
    codes = np.frombuffer(data.translate(table), dtype=np.uint8)
    if codes.max() == _UNKNOWN:
        raise unusable(path, _unknown(data, symbols))
    return codes


def _read(path: Path) -> bytes:
    with reading(path):
        if path.suffix != ".zip":
            return path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            if path.stem not in archive.namelist():
                raise unusable(path, f"has no file {path.stem} in it")
            return archive.read(path.stem)


def _unknown(data: bytes, symbols: str) -> str:
    # Bytes that are not valid UTF-8 stay distinguishable this way.
    text = data.decode("utf-8", errors="surrogateescape")
    unknown = set(text) - set(symbols)
    position = next(index for index, symbol in enumerate(text) if symbol in unknown)
    subject = "1 symbol that does" if len(unknown) == 1 else f"{len(unknown)} symbols that do"
    return (
        f"is another text: it has {subject} not belong, the first of them {text[position]!r} at "
        f"position {position} (the first character is at 0)"
    )
