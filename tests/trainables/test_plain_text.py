"""Tests that any text and any exception is made fit for files, databases and terminals."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.plain_text import LONGEST, fit_text, text_of, traceback_of

anything = st.text(st.characters(exclude_categories=()), max_size=300)


@given(anything, st.integers(101, 400))
def test_a_text_is_fit_for_utf_8_and_parquet_and_bounded(text, longest):
    fit = fit_text(text, longest)
    assert len(fit) <= longest
    assert fit.encode().decode() == fit
    assert pa.array([fit], pa.string()).to_pylist() == [fit]
    assert json.loads(json.dumps(fit, ensure_ascii=False)) == fit
    assert all(character in "\n\t" or ord(character) >= 32 for character in fit)
    assert fit_text(fit, longest) == fit


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn"))))
def test_a_text_without_odd_characters_is_unchanged(text):
    assert fit_text(text) == text


def test_what_cannot_be_carried_is_shown_as_python_writes_it():
    assert fit_text("data-\udcff\x00\x1b[31m\r\n\tü") == "data-\\udcff\\x00\\x1b[31m\\x0d\n\tü"


def test_both_ends_of_a_long_text_are_kept():
    fit = fit_text("begin" + "x" * 10_000_000 + "end")
    assert fit.startswith("begin") and fit.endswith("end") and len(fit) <= LONGEST
    assert "characters left out" in fit


class Silent(BaseException):
    """Raises whatever is asked of it."""

    def __str__(self):
        raise KeyboardInterrupt

    __repr__ = __str__


class Nameless(Exception):
    """Has no names, so that Python itself cannot format it."""

    __module__ = property(lambda self: 1 / 0)
    __notes__ = property(lambda self: 1 / 0)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Silent("x"), "Silent"),
        (Nameless("x"), "Nameless"),
        (ExceptionGroup("several", [ValueError("\udc80"), OSError(b"\xff")]), "ExceptionGroup"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "\x00"), "UnicodeDecodeError"),
        (SystemExit("leave"), "SystemExit"),
        (ValueError("\ud800" * LONGEST), "ValueError"),
    ],
)
def test_every_exception_has_a_traceback_that_is_fit(error, name):
    try:
        raise error
    except BaseException as caught:
        shown = traceback_of(caught)
        line = text_of(caught, 200)
    assert name in shown and shown == fit_text(shown)
    assert line == fit_text(line, 200)
