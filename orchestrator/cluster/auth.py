"""Finds, makes and requires the token of Ray's token authentication.

Without a token, whoever reaches a cluster's ports can run code there as the cluster's user.
"""

import ipaddress
import logging
import os
import secrets
import stat
from pathlib import Path

from orchestrator.errors import BadInput

MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
HOW = (
    "make a token with 'soundings token', start every host's Ray with RAY_AUTH_MODE=token and that "
    f"token in its ~/.ray/auth_token, and pass it here in the same file or in {TOKEN}"
)
log = logging.getLogger("soundings")


def token_file() -> Path:
    """Return the file that Ray reads the token from unless the environment holds the token.

    Raises:
        BadInput: it would lie in a home folder that does not exist.
    """
    path = os.environ.get(TOKEN_PATH) or "~/.ray/auth_token"
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{path}: there is no such home folder; name a file in {TOKEN_PATH}") from (
            error
        )


def use_token() -> bool:
    """Turn authentication on in this process if there is a token; call it before Ray is imported.

    Returns:
        True if there is a token.

    Raises:
        BadInput: other users of this machine may read the token's file.
    """
    if not os.environ.get(TOKEN):
        path = token_file()
        if not path.is_file() or not path.stat().st_size:
            return False
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise BadInput(
                f"{path}: other users of this machine may read it; make it yours alone with: "
                f"chmod 600 {path}"
            )
    os.environ[MODE] = "token"
    return True


def make_token() -> tuple[Path, bool]:
    """Make the token's file unless there is one, and let its owner alone read it.

    Returns:
        The path of the file, and whether the token is new.

    Raises:
        BadInput: the file cannot be written.
    """
    path = token_file()
    if path.is_file() and path.stat().st_size:
        path.chmod(0o600)
        return path, False
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)  # an empty file may be there
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadInput(
            f"{path}: no token can be written there ({error.strerror}); name a file in {TOKEN_PATH}"
        ) from error
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return path, True


def is_loopback(host: str) -> bool:
    """Return whether a host name or IP address is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_token(address: str, host: str) -> None:
    """Turn the token on, and refuse to go without one to a host that is not this machine.

    Args:
        address: address as the user wrote it, for the error's sentence.
        host: host name or IP address in it.

    Raises:
        BadInput: there is no token; the message says how to make and pass one.
    """
    if not use_token() and not is_loopback(host):
        raise BadInput(f"{address}: a cluster beyond this machine needs Ray's token: {HOW}")


def accept_insecure(address: str, allowed: bool) -> None:
    """Accept a cluster that asks for no token, with a warning, if the user allowed it.

    Args:
        address: the cluster's address.
        allowed: whether the user passed ``--insecure``.

    Raises:
        BadInput: the user did not allow it.
    """
    meaning = (
        "asks for no token: whoever reaches its ports can run code there as its user, and read "
        "and change what you send"
    )
    if not allowed:
        raise BadInput(f"{address}: the cluster {meaning}; {HOW}, or go on with --insecure")
    log.warning("%s: the cluster %s.", address, meaning)
