"""What a process that trains is set to."""

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
    """1e-40, which only a denormal number holds in float32."""
    return float(torch.tensor([1e-30]) / 1e10)


def test_numbers_below_the_normal_ones_become_zero():
    def prepared():
        threads = torch.get_num_threads()
        prepare(threads)
        return torch.get_num_threads() == threads, quotient()

    before = quotient()
    with ThreadPoolExecutor(1) as one:  # the setting is a thread's own
        assert one.submit(prepared).result() == (True, 0.0)
    assert quotient() == before == pytest.approx(1e-40, rel=1e-3)
