"""Sets up a worker process for fast training on a CPU, once, before it trains."""

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterable

import torch

# Keys of glibc's mallopt, from malloc.h, and their values in bytes.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGE = 1 << 30
_PAD = 64 << 20

# Variables from which libraries that are loaded later, and child processes, take their threads.
THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
)


def prepare(threads: int) -> None:
    """Set up this process and the calling thread for training.

    The number of threads is the trial's alone: what the shell says of threads is replaced.

    Denormal numbers are replaced by zero. Gradients that vanish over time end as denormal numbers,
    which Intel's processors handle very slowly: a training step of a contracting network took two
    to nine times as long with them.

    Args:
        threads: number of CPU threads that torch and other libraries use for one operation.
    """
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()


def search_last(folders: Iterable[str]) -> None:
    """Let this process search further folders for modules, after those that it searches already.

    Args:
        folders: the folders that the driver searches.
    """
    sys.path.extend(folder for folder in folders if folder not in sys.path)


def keep_freed_memory() -> bool:
    """Make glibc keep the memory of freed blocks instead of returning it to the system.

    By default glibc maps a block over 128 KiB anew and returns it when it is freed, so each
    training step pays for its page faults again: about a third of the time of a step of a recurrent
    network. With this setting a worker keeps as much memory as its largest training step needed.

    Returns:
        True if glibc accepted the settings; False if it did not, or if the C library has none.
    """
    name = ctypes.util.find_library("c")
    mallopt = getattr(ctypes.CDLL(name), "mallopt", None) if name else None
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _LARGE), (_M_TOP_PAD, _PAD))
    return all(mallopt(key, value) == 1 for key, value in settings)
