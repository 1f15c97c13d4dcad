"""tanh, sigmoid and the nonlinearity s of a lane, as compiled loops have them.

In float32 tanh is a quotient of two polynomials, which the compiler computes for as many numbers
at once as the processor can hold (the C library's is called for each number apart). It is within
3e-7 of tanh everywhere, its sign and bounds are right, and not-a-numbers stay such.
"""

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

IDENTITY, TANH, RELU = range(3)
CODES = {"identity": IDENTITY, "tanh": TANH, "relu": RELU}

# The compiler may reorder sums and fuse multiplications, but must not take for granted that there
# is no infinity and no not-a-number: a network that blows up is found by them. A division by zero
# is no error, for which it would have to look at each number.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}

# tanh(x) = x p(x^2) / q(x^2) up to a limit, where it is 3e-7 short of one. The coefficients are
# those of the Eigen library (MathFunctionsImpl.h), the highest power first.
_f = np.float32
_LIMIT = _f(7.90531110763549805)
_P6, _P5, _P4 = _f(-2.76076847742355e-16), _f(2.00018790482477e-13), _f(-8.60467152213735e-11)
_P3, _P2, _P1 = _f(5.12229709037114e-08), _f(1.48572235717979e-05), _f(6.37261928875436e-04)
_P0 = _f(4.89352455891786e-03)
_Q3, _Q2, _Q1 = _f(1.19825839466702e-06), _f(1.18534705686654e-04), _f(2.26843463243900e-03)
_Q0 = _f(4.89352518554385e-03)
# Beyond this tanh is one: a gate that is shut lets nothing through, in however many steps.
_SATURATED, _ONE = _f(9), _f(1)


def _tanh(x: Any) -> Any:
    """tanh(x)."""


def _single(x: Any) -> Any:
    cut = _LIMIT if x > _LIMIT else (-_LIMIT if x < -_LIMIT else x)
    y = cut * cut
    p = (((((_P6 * y + _P5) * y + _P4) * y + _P3) * y + _P2) * y + _P1) * y + _P0
    q = ((_Q3 * y + _Q2) * y + _Q1) * y + _Q0
    t = cut * p / q
    return _ONE if x > _SATURATED else (-_ONE if x < -_SATURATED else t)


def _double(x: Any) -> Any:
    return math.tanh(x)


@overload(_tanh, jit_options=OPTIONS)
def _tanh_of_type(x: Any) -> Any:
    return _single if x == types.float32 else _double


@njit(**OPTIONS)
def tanh(z: np.ndarray) -> None:
    """Tanh in place of ``z``, a row of numbers.

    A long row: many numbers are computed at once, but those that remain at the end of a row one by
    one, which takes as long as twenty times as many.
    """
    for i in range(z.size):
        z[i] = _tanh(z[i])


@njit(**OPTIONS)
def apply(code: int, z: np.ndarray) -> None:
    """S in place of the pre-activations ``z``, a row of numbers."""
    if code == TANH:
        tanh(z)
    elif code == RELU:
        zero = z.dtype.type(0)
        for i in range(z.size):
            z[i] = zero if z[i] < zero else z[i]


@njit(**OPTIONS)
def copy(source: np.ndarray, out: np.ndarray) -> None:
    """Copy a row of numbers: as a loop, which the compiler sees through."""
    for i in range(out.size):
        out[i] = source[i]


@njit(**OPTIONS)
def gates(z: np.ndarray, at: int, n: int, code: int, spare: np.ndarray) -> None:
    """In place of pre-activations: s of the columns ``at`` to ``at + n``, sigmoids of the others.

    Args:
        z: ``[batch, columns]``, C-contiguous.
        code: of s.
        spare: memory ``[batch, n]``.
    """
    half, apart = z.dtype.type(0.5), n > 0 and code != TANH
    batch, columns = z.shape
    for b in range(batch):  # sigma(z) = tanh(z / 2) / 2 + 1 / 2
        row = z[b]
        for i in range(at):
            row[i] *= half
        for i in range(at + n, columns):
            row[i] *= half
        if apart:
            copy(row[at : at + n], spare[b])
    tanh(z.reshape(-1))
    if apart:
        apply(code, spare.reshape(-1))
    for b in range(batch):
        row = z[b]
        for i in range(at):
            row[i] = row[i] * half + half
        for i in range(at + n, columns):
            row[i] = row[i] * half + half
        if apart:
            copy(spare[b], row[at : at + n])


@njit(**OPTIONS)
def multiply_by_slope(code: int, s: np.ndarray, out: np.ndarray) -> None:
    """Multiply ``out`` by ds/dz at the values ``s`` of s, both rows of numbers."""
    if code == TANH:
        one = s.dtype.type(1)
        for i in range(s.size):
            out[i] *= one - s[i] * s[i]
    elif code == RELU:
        zero = s.dtype.type(0)
        for i in range(s.size):
            out[i] = zero if s[i] <= zero else out[i]  # not a number stays such
