"""What all tests share."""

import os

import pytest
import torch
from hypothesis import settings

from tests.support.s3 import KEYS, S3

# The numbers and the times of the tests do not depend on the machine's cores.
torch.set_num_threads(1)
# How long an example takes says how busy the machine is; speed is measured in benchmarks/.
settings.register_profile("soundings", deadline=None)
settings.load_profile("soundings")
os.environ.pop("COLUMNS", None)  # nor what is printed on the terminal, which may be narrow


@pytest.fixture
def s3(monkeypatch):
    """An S3 server, and the environment to use it."""
    for key, value in {**KEYS, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(key, value)
    with S3() as server:
        yield server


@pytest.fixture(autouse=True)
def denormal_numbers():
    """A trial that a test trains in its own process turns them off for those that follow."""
    yield
    torch.set_flush_denormal(False)
