"""Knows the processor, and has its matrix products computed to the same bits everywhere."""

import os
from pathlib import Path


def is_intels() -> bool:
    """Return whether Linux reports an Intel processor."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def make_products_reproducible() -> None:
    """Let MKL compute a matrix product in the same order wherever its factors lie in memory.

    Otherwise the last bits of a product depend on the addresses of its factors, and so those of a
    lane would depend on how many lanes lie before it. MKL reads the variable at its first product;
    a value that the user set stays. On processors other than Intel's, MKL's kernels for AVX2 are
    faster than those that it chooses itself.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT" if is_intels() else "AVX2,STRICT")
