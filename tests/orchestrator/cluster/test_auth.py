"""Ray's token is created for its owner alone and is required beyond this machine."""

import os
import stat

import pytest

from orchestrator.cluster import auth
from orchestrator.errors import BadInput
from tests.support.command import soundings


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """Return the home of a user who has no token yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (auth.TOKEN, auth.TOKEN_PATH, auth.MODE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def test_make_token_creates_the_token_once_for_its_owner_alone(home):
    before = os.umask(0)
    try:
        path, created = auth.make_token()
    finally:
        os.umask(before)
    assert (path, created) == (home / ".ray" / "auth_token", True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    token = path.read_text()
    assert len(token) == 64 and int(token, 16) > 0
    path.chmod(0o644)
    assert auth.make_token() == (path, False)
    assert path.read_text() == token and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_token_command_shows_the_path_and_not_the_token(home):
    done = soundings("token", cwd=home)
    path = home / ".ray" / "auth_token"
    assert done.returncode == 0 and str(path) in done.stdout
    assert path.read_text() not in done.stdout + done.stderr
    assert "holds a token already" in soundings("token", cwd=home).stdout


def test_a_token_turns_authentication_on(monkeypatch):
    assert not auth.use_token() and auth.MODE not in os.environ
    path, _ = auth.make_token()
    assert auth.use_token() and os.environ[auth.MODE] == "token"
    path.chmod(0o640)
    with pytest.raises(BadInput, match=f"chmod 600 {path}"):
        auth.use_token()
    monkeypatch.setenv(auth.TOKEN, "from the environment")
    assert auth.use_token()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("localhost.example.com", False),
        ("head", False),
    ],
)
def test_a_token_is_required_unless_the_host_is_loopback(host, loopback):
    assert auth.is_loopback(host) == loopback
    if loopback:
        auth.require_token("there", host)
    else:
        with pytest.raises(BadInput, match="make a token with 'soundings token'"):
            auth.require_token("there", host)
    auth.make_token()
    auth.require_token("there", host)


def test_a_cluster_without_a_token_needs_insecure_and_gives_a_warning(caplog):
    with pytest.raises(BadInput, match="go on with --insecure") as caught:
        auth.accept_insecure("http://a", allowed=False)
    assert "whoever reaches its ports can run code there" in str(caught.value)
    auth.accept_insecure("http://a", allowed=True)
    assert "whoever reaches its ports can run code there" in caplog.text
