"""Texts as codes of their symbols: text8 and tiny-shakespeare."""

import string
import zipfile
from pathlib import Path

import numpy as np

from trainables.data.errors import reading, unusable
from trainables.data.files import find, warn_of_a_part
from trainables.data.prepared import from_files

TEXT8_SYMBOLS = " " + string.ascii_lowercase
SHAKESPEARE_SYMBOLS = "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase
_UNKNOWN = 255


def text8() -> np.ndarray:
    """text8, 100,000,000 characters of Wikipedia: uint8 ``[characters]`` of ``TEXT8_SYMBOLS``.

    The first call on a host converts the file, in three bytes of memory a character.

    Raises:
        DataError: the file is missing and cannot be downloaded, damaged, or another text.
    """
    path = find("text8", "text8", "text8.zip", checksum="md5:3bea1919949baf155f99411df5fada7e")
    return _codes("text8", path, TEXT8_SYMBOLS, 10**8)


def shakespeare() -> np.ndarray:
    """tiny-shakespeare, 1,115,394 characters: uint8 codes in ``SHAKESPEARE_SYMBOLS``.

    Raises:
        DataError: the file is missing and cannot be downloaded, damaged, or another text.
    """
    path = find(
        "tinyshakespeare",
        "input.txt",
        checksum="sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    )
    return _codes("tinyshakespeare", path, SHAKESPEARE_SYMBOLS, 1_115_394)


def _codes(dataset: str, path: Path, symbols: str, whole: int) -> np.ndarray:
    arrays = from_files(dataset, [path], lambda: {"codes": encode(path, symbols)})
    warn_of_a_part(path, len(arrays["codes"]), whole, "characters")
    return arrays["codes"]


def encode(path: Path, symbols: str) -> np.ndarray:
    """Of each character of a text, or of that in a ``.zip``, its place in ``symbols`` (ASCII).

    Returns:
        uint8 ``[characters]``.

    Raises:
        DataError: the file is damaged, has no text, or other symbols.
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
    # Bytes that are no UTF-8 keep their differences.
    text = data.decode("utf-8", errors="surrogateescape")
    unknown = set(text) - set(symbols)
    position = next(place for place, symbol in enumerate(text) if symbol in unknown)
    many = "1 symbol that does" if len(unknown) == 1 else f"{len(unknown)} symbols that do"
    return (
        f"is another text: it has {many} not belong, the first of them {text[position]!r} at "
        f"position {position} (the first character is at 0)"
    )
