"""Tests the settings of a process that trains."""

import ctypes.util
import platform
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from trainables.worker import keep_freed_memory, prepare


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
