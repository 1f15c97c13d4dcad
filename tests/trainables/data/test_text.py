"""Tests that texts are read as codes, and that other texts are refused."""

import string
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.data import (
    SHAKESPEARE_SYMBOLS,
    TEXT8_SYMBOLS,
    DataError,
    shakespeare,
    text,
    text8,
)


def put(data, dataset, name, content):
    (data / dataset).mkdir(exist_ok=True)
    (data / dataset / name).write_bytes(content)
    return data / dataset / name


def put_zip(data, member, content, compression=zipfile.ZIP_DEFLATED):
    path = put(data, "text8", "text8.zip", b"")
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(member, content)
    return path


def test_symbols_are_in_order():
    assert TEXT8_SYMBOLS == " abcdefghijklmnopqrstuvwxyz"
    assert len(SHAKESPEARE_SYMBOLS) == 65
    assert list(SHAKESPEARE_SYMBOLS) == sorted(set(SHAKESPEARE_SYMBOLS))
    assert set(string.ascii_letters) < set(SHAKESPEARE_SYMBOLS)


def test_the_code_of_a_character_is_its_place_among_the_symbols(data):
    put(data, "text8", "text8", b" az b")
    codes = text8()
    assert codes.tolist() == [0, 1, 26, 0, 2]
    assert codes.dtype == np.uint8
    assert isinstance(codes, np.memmap)
    assert text8() is codes


def test_text8_is_read_out_of_its_archive(data):
    put_zip(data, "text8", "anarchism")
    assert "".join(TEXT8_SYMBOLS[code] for code in text8()) == "anarchism"


def test_shakespeare_comes_back_from_its_codes(data):
    words = "First Citizen:\nBefore we proceed, hear me speak! 'Tis $3?\n"
    put(data, "tinyshakespeare", "input.txt", words.encode())
    assert "".join(SHAKESPEARE_SYMBOLS[code] for code in shakespeare()) == words


def test_symbols_that_do_not_belong_are_named(data):
    path = put(data, "text8", "text8", b"the <UNK> of the <UNK>")
    with pytest.raises(DataError) as caught:
        text8()
    assert str(caught.value) == (
        f"{path} is another text: it has 5 symbols that do not belong, the first of them '<' at "
        "position 4 (the first character is at 0): replace it, or delete it to have it downloaded"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"abc\n", r"has 1 symbol that does not belong, the first of them '\\n' at position 3 "),
        (
            "café à".encode(),
            "has 2 symbols that do not belong, the first of them 'é' at position 3 ",
        ),
        (
            b"\xff\xfe",
            r"has 2 symbols that do not belong, the first of them '\\udcff' at position 0",
        ),
        (b"", "text8 is empty:"),
    ],
)
def test_each_fault_of_a_text_is_reported(data, content, sentence):
    put(data, "text8", "text8", content)
    with pytest.raises(DataError, match=sentence):
        text8()


def test_damaged_archives_are_refused(data):
    path = put_zip(data, "text8", "a long text " * 100)
    archive = path.read_bytes()
    for content in (b"", archive[:30], archive[:-10], archive[:40] + b"\0\0\0" + archive[43:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"text8\.zip cannot be read"):
            text8()
    put_zip(data, "text8", "words" * 20, zipfile.ZIP_LZMA)
    archive = path.read_bytes()
    # This byte holds properties of the compression.
    path.write_bytes(archive[:39] + b"\xff" + archive[40:])
    with pytest.raises(DataError, match=r"text8\.zip cannot be read"):
        text8()
    put_zip(data, "another", "words")
    with pytest.raises(DataError, match=r"text8\.zip has no file text8 in it"):
        text8()
    put_zip(data, "text8", "")
    with pytest.raises(DataError, match=r"text8\.zip is empty"):
        text8()


@pytest.mark.parametrize(
    ("flag", "name", "sentence"),
    [
        (0x001, b"text8", "is encrypted, password required"),
        (0x800, b"\xff\xfe\xff\xfe\xff", "codec can't decode"),
    ],
)
def test_archives_of_unusual_kinds_are_refused(data, flag, name, sentence):
    path = put_zip(data, "text8", "words")
    content = bytearray(path.read_bytes().replace(b"text8", name))
    central = content.index(b"PK\x01\x02")
    # The flags lie before the file's content and in the list of files.
    for position in (
        6,
        central + 8,
    ):
        content[position : position + 2] = flag.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"text8\.zip cannot be read \(.*{sentence}"):
        text8()


@given(content=st.binary(max_size=30) | st.text("abc \n", max_size=30).map(str.encode))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_encoding_any_bytes_gives_their_codes_or_a_data_error(tmp_path, content):
    path = tmp_path / "any"
    path.write_bytes(content)
    symbols = " abc"
    if content and set(content) <= set(symbols.encode()):
        codes = text.encode(path, symbols)
        assert bytes(symbols.encode()[code] for code in codes) == content
    else:
        with pytest.raises(DataError):
            text.encode(path, symbols)


@given(content=st.binary(max_size=120))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_reading_an_archive_of_noise_raises_a_data_error_and_no_other_exception(tmp_path, content):
    path = tmp_path / "text8.zip"
    path.write_bytes(b"PK\x03\x04" + content)
    with pytest.raises(DataError):
        text.encode(path, TEXT8_SYMBOLS)
