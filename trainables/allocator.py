"""Keep freed memory in the process: the system call behind each large tensor costs more than it.

By default glibc maps every block over 128 KiB anew and hands it back when it is freed, so that
each training step pays its page faults again: about a third of a step of a recurrent network on
a CPU. A worker that keeps its memory holds what its largest training step needed, no more.
"""

import ctypes
import ctypes.util

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGE = 1 << 30
_PAD = 64 << 20


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks; returns False where the C library is another one."""
    name = ctypes.util.find_library("c")
    mallopt = getattr(ctypes.CDLL(name), "mallopt", None) if name else None
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _LARGE), (_M_TOP_PAD, _PAD))
    return all(mallopt(key, value) == 1 for key, value in settings)
