"""Tests the settings of a process that trains."""

import ctypes.util
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tests.support.trials import definition
from trainables.trial import Trial
from trainables.worker import THREADS, keep_freed_memory, prepare, search_last


@pytest.fixture(autouse=True)
def own_threads(monkeypatch):
    """Put the threads and the variables of this process back after a test."""
    threads = torch.get_num_threads()
    for name in THREADS:
        monkeypatch.setenv(name, "4,2")
    yield
    torch.set_num_threads(threads)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_glibc_takes_the_settings():
    assert keep_freed_memory() is True


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    assert keep_freed_memory() is False


def quotient():
    """Return 1e-40, which only a denormal number holds in float32."""
    return float(torch.tensor([1e-30]) / 1e10)


def test_denormal_numbers_become_zero_after_prepare():
    def prepared():
        threads = torch.get_num_threads()
        prepare(threads)
        return torch.get_num_threads() == threads, quotient()

    before = quotient()
    with ThreadPoolExecutor(1) as executor:  # the setting applies to one thread only
        assert executor.submit(prepared).result() == (True, 0.0)
    assert quotient() == before == pytest.approx(1e-40, rel=1e-3)


@pytest.mark.parametrize(
    ("config", "threads"), [({}, 1), ({"cpus": 0.25}, 1), ({"cpus": 2.0}, 2), ({"cpus": 3.5}, 3)]
)
def test_a_trial_takes_as_many_threads_as_it_has_cores_whatever_the_shell_says(config, threads):
    Trial(config={"definition": definition(), **config})
    assert torch.get_num_threads() == threads
    assert {os.environ[name] for name in THREADS} == {str(threads)}


def test_modules_of_the_driver_are_searched_last_and_once(monkeypatch):
    monkeypatch.setattr(sys, "path", ["/installed", "/other"])
    search_last(("/mine", "/installed"))
    search_last(("/mine",))
    assert sys.path == ["/installed", "/other", "/mine"]
