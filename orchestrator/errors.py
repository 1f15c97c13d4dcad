"""Defines the two exceptions that end a command, and shortens errors of others to a sentence."""

import errno
import os
import re

_LOST = "its disk, or the server behind it, fails: call the command again when it is mended"
_NOT_ALLOWED = "see to it that you may read and write there, or name another folder"
# What a user can do about an error of the operating system.
_REMEDIES = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "this machine has too many files open: end other programs",
    errno.ENOMEM: "this machine has too little memory free: end other programs",
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: _NOT_ALLOWED,
    errno.EIO: _LOST,
    errno.ESTALE: _LOST,
    errno.ENXIO: _LOST,
    errno.ENODEV: _LOST,
    errno.ETIMEDOUT: _LOST,
    errno.ENOENT: "it was removed, or is a link that leads nowhere: put it back",
    errno.ENOTDIR: "a file lies where a folder should be: move it away",
    errno.EEXIST: "a file lies where a folder should be: move it away",
    errno.EISDIR: "a folder lies where a file should be: move it away",
    errno.ELOOP: "a link there leads back to itself: remove it",
    errno.ESPIPE: "move it away, and put the file back",
    errno.ENAMETOOLONG: "name a folder with a shorter path",
}
_OTHERWISE = "mend that, and call the command again"


class BadInput(Exception):
    """Signals that the user's input cannot be used; nothing was run. Exit code 2."""


class RunFailed(Exception):
    """Signals that a run began and failed; what it recorded is kept. Exit code 1."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or the error's name where it has no text.

    Of an error of the operating system it is the name of the file and the cause; of a text that
    holds a traceback or a page of HTML, as servers answer, the last line or the title.
    """
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        if isinstance(error.filename, str | bytes | os.PathLike):
            return f"{os.fsdecode(error.filename)}: {error.strerror}"
        return re.sub(r"\. Detail: \[errno \d+\]", ":", error.strerror)  # as pyarrow writes it
    text = str(error)
    before, traceback, after = text.partition("Traceback (most recent call last):")
    if traceback:
        lines = [line.strip() for line in after.splitlines()]
        return before + next((line for line in reversed(lines) if line.strip(".")), "an error")
    if html := re.search(r"<(!doctype|html)", text, re.IGNORECASE):
        title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        shown = " ".join(title[1].split()) if title else "untitled"
        return f"{text[: html.start()]}a page of HTML, '{shown}'"
    return next(iter(text.splitlines()), "") or type(error).__name__


def explained(error: BaseException) -> str:
    """Return an error of the operating system as a sentence: file, cause, and what to do.

    Any other error, also that of an object store, is its own text.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return f"{first_line(error)}; {remedy(error)}"
    return str(error)


def remedy(error: OSError) -> str:
    """Return what a user can do about an error of the operating system."""
    return _REMEDIES.get(error.errno or 0, _OTHERWISE)
