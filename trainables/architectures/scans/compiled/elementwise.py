"""Compute tanh, sigmoid and a lane's nonlinearity s inside compiled loops.

In float32, tanh is a quotient of two polynomials, which the compiler vectorises; the C library's
tanh would be called for one number at a time. The quotient is within 3e-7 of tanh everywhere, has
the right sign, stays within [-1, 1] and maps not-a-number to not-a-number.
"""

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

IDENTITY, TANH, RELU = range(3)
CODES = {"identity": IDENTITY, "tanh": TANH, "relu": RELU}

# The compiler may reorder sums and fuse multiplications, but it must not assume that there is no
# infinity and no not-a-number: they reveal a network that diverges. A division by zero raises no
# error, because the check for it would have to look at each number.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}

# tanh(x) = x p(x^2) / q(x^2) up to a limit, where the result is 3e-7 below one. The coefficients
# are those of the Eigen library (MathFunctionsImpl.h), the highest power first.
_f = np.float32
_LIMIT = _f(7.90531110763549805)
_P6, _P5, _P4 = _f(-2.76076847742355e-16), _f(2.00018790482477e-13), _f(-8.60467152213735e-11)
_P3, _P2, _P1 = _f(5.12229709037114e-08), _f(1.48572235717979e-05), _f(6.37261928875436e-04)
_P0 = _f(4.89352455891786e-03)
_Q3, _Q2, _Q1 = _f(1.19825839466702e-06), _f(1.18534705686654e-04), _f(2.26843463243900e-03)
_Q0 = _f(4.89352518554385e-03)
# Beyond this limit tanh is exactly one, so that a closed gate lets nothing through even after many
# steps.
_SATURATED, _ONE = _f(9), _f(1)


def _tanh(x: Any) -> Any:
    """Return tanh(x); the overload below implements it for each number format."""


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
    """Replace the numbers of the row ``z`` by their tanh, in place.

    Rows should be long. Numbers are computed many at once, but the remainder at the end of a row is
    computed one by one, which takes as long as computing twenty times as many at once.
    """
    for i in range(z.size):
        z[i] = _tanh(z[i])


@njit(**OPTIONS)
def apply(code: int, z: np.ndarray) -> None:
    """Replace a row of pre-activations by their values of s, in place.

    Args:
        code: code of s, one of ``CODES``.
        z: row of pre-activations.
    """
    if code == TANH:
        tanh(z)
    elif code == RELU:
        zero = z.dtype.type(0)
        for i in range(z.size):
            z[i] = zero if z[i] < zero else z[i]


@njit(**OPTIONS)
def copy(source: np.ndarray, out: np.ndarray) -> None:
    """Copy a row of numbers by a loop, which the compiler can optimise."""
    for i in range(out.size):
        out[i] = source[i]


@njit(**OPTIONS)
def gates(z: np.ndarray, at: int, n: int, code: int, spare: np.ndarray) -> None:
    """Apply s to the columns ``at`` to ``at + n`` and the sigmoid to all others, in place.

    Args:
        z: pre-activations ``[batch, columns]``, C-contiguous.
        at: first column of the gate with s.
        n: number of columns of that gate; zero: all columns get the sigmoid.
        code: code of s, one of ``CODES``.
        spare: temporary memory ``[batch, n]``.
    """
    half, apart = z.dtype.type(0.5), n > 0 and code != TANH
    batch, columns = z.shape
    # One tanh serves all columns: sigma(z) = tanh(z / 2) / 2 + 1 / 2.
    for b in range(batch):
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
    """Multiply ``out`` by the derivative ds/dz, which is computed from the values of s, in place.

    Args:
        code: code of s, one of ``CODES``.
        s: row of values of s.
        out: row of the same length.
    """
    if code == TANH:
        one = s.dtype.type(1)
        for i in range(s.size):
            out[i] *= one - s[i] * s[i]
    elif code == RELU:
        zero = s.dtype.type(0)
        for i in range(s.size):
            out[i] = zero if s[i] <= zero else out[i]  # kept if s[i] is not a number
