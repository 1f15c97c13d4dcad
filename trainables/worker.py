"""What a process that trains on a CPU wants set, once, before it begins."""

import ctypes
import ctypes.util

import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGE = 1 << 30
_PAD = 64 << 20


def prepare(threads: int) -> None:
    """Set up this process, and this thread of it, for training.

    Gradients that vanish over time end as denormal numbers, at which processors of Intel's crawl:
    a step of a contracting network took two to nine times as long. They become zero.

    Args:
        threads: that share an operation.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks; returns False where the C library is another one.

    By default it maps every block over 128 KiB anew and hands it back when it is freed, so that
    each training step pays its page faults again: about a third of a step of a recurrent network.
    A worker that keeps its memory holds what its largest training step needed, no more.
    """
    name = ctypes.util.find_library("c")
    mallopt = getattr(ctypes.CDLL(name), "mallopt", None) if name else None
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _LARGE), (_M_TOP_PAD, _PAD))
    return all(mallopt(key, value) == 1 for key, value in settings)
