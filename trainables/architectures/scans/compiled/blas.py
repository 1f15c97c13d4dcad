"""Multiply matrices inside compiled loops by the BLAS that PyTorch carries.

The BLAS functions are looked up by name in PyTorch's library and called by Fortran's convention.
Numba's own products call the BLAS of SciPy, which is another library with threads of its own.
"""

import ctypes
from pathlib import Path
from typing import Any

import llvmlite.binding
import llvmlite.ir as ir
import numpy as np
import torch
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_PLAIN, _TRANSPOSED = ord("N"), ord("T")
_NAMES = {types.float32: "sgemm_", types.float64: "dgemm_"}
_PREFIX = "soundings_"  # other libraries of the process have functions of the same names


def _find() -> None:
    """Register PyTorch's BLAS functions with LLVM: compiled code calls them by name.

    Raises:
        ImportError: PyTorch's library does not export them.
    """
    folder = Path(torch.__file__).parent / "lib"
    for path in sorted(folder.glob("libtorch_cpu.*")):
        try:
            library = ctypes.CDLL(str(path))
            for name in _NAMES.values():
                address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
                llvmlite.binding.add_symbol(_PREFIX + name, address)
        except (OSError, AttributeError):
            continue
        return
    raise ImportError("PyTorch's library has no BLAS that can be called")


_find()


@intrinsic
def _gemm(
    typing_context: Any,
    transpose_a: Any,
    transpose_b: Any,
    m: Any,
    n: Any,
    k: Any,
    a: Any,
    a_rows: Any,
    b: Any,
    b_rows: Any,
    beta: Any,
    c: Any,
    c_rows: Any,
) -> Any:
    """Compute C = op(A) op(B) + beta C for NumPy arrays, which BLAS reads column by column.

    The arguments are those of BLAS without the factor alpha, which is one: ``m``, ``n`` and ``k``
    are the sizes of the product, ``a_rows``, ``b_rows`` and ``c_rows`` the leading dimensions.
    """
    number = c.dtype
    integers = (types.int64,) * 5
    signature = types.void(*integers, a, types.int64, b, types.int64, number, c, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer] * 13),
            _PREFIX + _NAMES[number],
        )

        def by_reference(value: Any) -> Any:
            return builder.bitcast(cgutils.alloca_once_value(builder, value), pointer)

        def data(index: int) -> Any:
            array = context.make_array(signature.args[index])(context, builder, arguments[index])
            return builder.bitcast(array.data, pointer)

        one = context.get_constant(number, 1)
        # Integers have 64 bits here. A library that reads 32 bits of them reads the lower ones,
        # which hold the same number.
        ta, tb, m, n, k = map(by_reference, arguments[:5])
        a_rows, b_rows, beta, c_rows = (by_reference(arguments[i]) for i in (6, 8, 9, 11))
        factors = (by_reference(one), data(5), a_rows, data(7), b_rows)
        builder.call(function, [ta, tb, m, n, k, *factors, beta, data(10), c_rows])
        return context.get_dummy_value()

    return signature, generate


@njit(nogil=True)
def _row(matrix: np.ndarray) -> int:
    """Return how many numbers lie between the starts of two rows of a matrix.

    The maximum is needed for a matrix of one row, whose stride NumPy may set to anything.
    """
    return max(matrix.strides[0] // matrix.itemsize, matrix.shape[1])


@njit(nogil=True)
def multiply(x: np.ndarray, y: np.ndarray, out: np.ndarray, kept: float) -> None:
    """Set ``out`` to ``x @ y + kept * out``.

    Args:
        x: left factor ``[m, k]``.
        y: right factor ``[k, n]``.
        out: result ``[m, n]``.
        kept: factor of the old ``out``; zero ignores its old numbers, whatever they are.
    """
    _gemm(
        _PLAIN, _PLAIN, out.shape[1], out.shape[0], x.shape[1],
        y, _row(y), x, _row(x), out.dtype.type(kept), out, _row(out),
    )  # fmt: skip


@njit(nogil=True)
def add_sum_over_rows(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """Add ``x.T @ y`` to ``out``.

    Args:
        x: left factor ``[rows, m]``.
        y: right factor ``[rows, n]``.
        out: the sums ``[m, n]``.
    """
    _gemm(
        _PLAIN, _TRANSPOSED, out.shape[1], out.shape[0], x.shape[0],
        y, _row(y), x, _row(x), out.dtype.type(1), out, _row(out),
    )  # fmt: skip


@njit(nogil=True)
def multiply_transposed(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """Set ``out`` to ``x @ y.T``.

    Args:
        x: left factor ``[m, k]``.
        y: right factor ``[n, k]``.
        out: result ``[m, n]``.
    """
    _gemm(
        _TRANSPOSED, _PLAIN, out.shape[1], out.shape[0], x.shape[1],
        y, _row(y), x, _row(x), out.dtype.type(0), out, _row(out),
    )  # fmt: skip
