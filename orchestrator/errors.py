"""The two ways in which a command fails."""


class BadInput(Exception):
    """What the user gave cannot be used; nothing was run. Exit code 2."""


class RunFailed(Exception):
    """A run began and did not end well; what it recorded is kept. Exit code 1."""
