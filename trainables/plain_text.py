"""Makes texts from outside fit to be stored and shown, whatever they hold.

Messages of exceptions, names and labels may hold characters that UTF-8, Parquet, XML or a terminal
cannot carry, and may be of any length.
"""

import re
import traceback

LONGEST = 20_000  # characters of a text that is kept; a traceback has a few thousand

# Control characters except tab and line feed, halves of surrogate pairs, and the two numbers that
# are no characters in XML.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NOTE = 60  # characters that the note on an omission has at most


def fit_text(text: str, longest: int = LONGEST) -> str:
    r"""Return a text that UTF-8, Parquet, JSON, XML and a terminal can carry.

    Characters that cannot be stored or shown are written as Python writes them, such as ``\udcff``
    or ``\x00``. The middle of a text that is too long is left out. A text that is fit is returned
    unchanged.

    Args:
        text: any text.
        longest: largest number of characters of the returned text, more than 100.
    """
    return _shortened(_UNFIT.sub(_escaped, _shortened(text, longest)), longest)


def text_of(value: object, longest: int = LONGEST) -> str:
    """Return the text of any object, made fit by :func:`fit_text`, even if its ``str`` raises.

    Args:
        value: the object, for instance an exception.
        longest: largest number of characters of the returned text.
    """
    try:
        return fit_text(str(value), longest)
    except BaseException as error:  # whatever a user's own class raises
        return f"<{type(value).__name__} whose text raises {type(error).__name__}>"


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception, made fit by :func:`fit_text`.

    Args:
        error: exception that was caught, of any class.
    """
    try:
        return fit_text("".join(traceback.format_exception(error)))
    except BaseException as second:  # whatever a user's own class raises
        return (
            f"{type(error).__name__}: {text_of(error)}\n"
            f"(its traceback cannot be shown: {type(second).__name__})"
        )


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    half = (longest - _NOTE) // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]} [.. {left_out:,} characters left out ..] {text[-half:]}"
