"""The allocator's settings are accepted where the C library is glibc, and only there."""

import ctypes.util
import platform

import pytest

from trainables.allocator import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_glibc_takes_the_settings():
    assert keep_freed_memory() is True


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    assert keep_freed_memory() is False
