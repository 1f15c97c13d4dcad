"""Set up PyTorch, Hypothesis and the environment for all tests, and define shared fixtures."""

import atexit
import gc
import os
import signal

import pytest
import torch
from hypothesis import settings

from tests.support.gcs import GCS, write_credentials
from tests.support.s3 import KEYS, S3

# Neither the numbers nor the duration of the tests may depend on the machine's cores.
torch.set_num_threads(1)
# The duration of an example depends on how busy the machine is; benchmarks/ measure speed.
settings.register_profile("soundings", deadline=None)
settings.load_profile("soundings")
# A shell ignores Ctrl-C for what it runs in the background, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("COLUMNS", None)  # printed tables must not depend on the terminal's width


@pytest.fixture(autouse=True)
def _ctrl_c_interrupts() -> None:
    """Undo what an earlier test left: a run of Tune in this process catches Ctrl-C ever after."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish() -> None:
    """Let the interpreter look for garbage when it ends.

    The command line, which tests call in this process, skips that to end sooner; extension modules
    would then list all their objects as leaked.
    """
    atexit.unregister(gc.freeze)


@pytest.fixture
def s3(monkeypatch):
    """Start an S3 server and set the environment variables that its clients need."""
    for key, value in {**KEYS, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(key, value)
    with S3() as server:
        yield server


@pytest.fixture
def gcs(monkeypatch, tmp_path_factory):
    """Start a server like Google's object store, and name the credentials that its clients need."""
    credentials = tmp_path_factory.mktemp("credentials") / "key.json"
    write_credentials(credentials)
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(credentials))
    with GCS() as server:
        yield server


@pytest.fixture(autouse=True)
def denormal_numbers():
    """Turn denormal numbers on again after a test: training in this process turns them off."""
    yield
    torch.set_flush_denormal(False)
