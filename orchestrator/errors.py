"""Defines the two exceptions that end a command, and shortens an error of a library to a line."""


class BadInput(Exception):
    """Signals that the user's input cannot be used; nothing was run. Exit code 2."""


class RunFailed(Exception):
    """Signals that a run began and failed; what it recorded is kept. Exit code 1."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or the error's name where it has no text."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
