"""Compute matrix products of each lane with the fastest library of the CPU, MKL or oneDNN.

On a CPU ``torch.bmm`` calls MKL, which reaches half of the speed of AMD processors: 100 GFLOP/s for
5600 x 300 by 300 x 360 in float32 on one core of an EPYC with AVX-512. PyTorch carries a second
library, oneDNN, which reaches 225 GFLOP/s there. Its product is
``torch.ops.mkldnn._linear_pointwise``, which ``torch.compile`` calls for a linear layer. One call
takes ten microseconds more, so small products stay with ``torch.bmm``. So do all products that are
not in float32 on a CPU, and all products on Intel processors, where MKL is faster.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.derivatives import second_wanted

# The product of a lane goes to oneDNN if it has at least this many multiplications.
LARGE = 1 << 21
# MKL takes as long for fewer columns as for this many.
NARROW = 32
# A sum over rows goes through this many at a time: their memory is read twice, and the second read
# then finds it in a cache.
ROWS = 1024


def _find_onednn() -> Any:
    """Return oneDNN's product; None if this release of PyTorch lacks it or computes otherwise."""
    if not torch.backends.mkldnn.is_available():
        return None
    a, b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]])
    try:
        linear = torch.ops.mkldnn._linear_pointwise
        is_correct = torch.equal(linear(a, b, a[0], "none", [], ""), a @ b.mT + a[0])
    except (AttributeError, RuntimeError, TypeError):
        return None
    return linear if is_correct else None


def _is_intels() -> bool:
    """Return whether Linux reports an Intel processor."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


_LINEAR = _find_onednn()
ONEDNN_IS_FASTER = _LINEAR is not None and not _is_intels()


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute ``x @ weight + bias`` of each lane for all time steps at once.

    Args:
        x: inputs ``[lanes, time, batch, inputs]``.
        weight: matrix of each lane ``[lanes, inputs, outputs]``.
        bias: bias of each lane ``[lanes, outputs]``.

    Returns:
        The result ``[lanes, time, batch, outputs]``. Nothing else reads its memory, not even
        autograd, so the caller may overwrite it.
    """
    lanes, time, batch, inputs = x.shape
    flat, bias = x.reshape(lanes, time * batch, inputs), bias.unsqueeze(1)
    if is_onednns(time * batch, weight) and not second_wanted():
        product: Tensor = _Affine.apply(flat, weight, bias)  # type: ignore[no-untyped-call]
    else:
        product = torch.baddbmm(bias, flat, weight)
    return product.view(lanes, time, batch, -1)


def add_products(total: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Add ``x^T @ y`` of each lane, a sum over rows, to ``total`` in place.

    Args:
        total: the sums ``[lanes, n, m]``.
        x: left factor ``[lanes, rows, n]``.
        y: right factor ``[lanes, rows, m]``.

    Returns:
        ``total``.
    """
    if not is_onednns(x.shape[-1], y):
        return total.baddbmm_(x.mT, y)
    for x_part, y_part in zip(torch.split(x, ROWS, 1), torch.split(y, ROWS, 1), strict=True):
        for sums, x_lane, y_lane in zip(total, x_part, y_part, strict=True):
            if x_lane.shape[1] <= y_lane.shape[1]:  # oneDNN copies the factor that it transposes
                sums += _onednn(x_lane.mT, y_lane)
            else:
                sums += _onednn(y_lane.mT, x_lane).mT
    return total


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx = _product(gradient, weight.mT) if ctx.needs_input_grad[0] else None
        dw = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        if dw is not None:
            add_products(dw, x, gradient)
        db = gradient.sum(1, keepdim=True) if ctx.needs_input_grad[2] else None
        return dx, dw, db


def is_onednns(rows: int, y: Tensor) -> bool:
    """Return whether oneDNN computes the products with ``y``; the number of lanes does not matter.

    Args:
        rows: rows of each lane's left factor.
        y: right factor ``[lanes, inputs, outputs]``.
    """
    is_supported = ONEDNN_IS_FASTER and y.dtype == torch.float32 and y.device.type == "cpu"
    return is_supported and rows * y.shape[-2] * max(y.shape[-1], NARROW) >= LARGE


def _product(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    biases = [None] * len(x) if bias is None else list(bias.squeeze(1).unbind(0))
    if len(x) == 1:
        return _onednn(x[0], y[0], biases[0]).unsqueeze(0)
    out = x.new_empty(*x.shape[:2], y.shape[2])
    for out_lane, *lane in zip(out, x, y, biases, strict=True):
        out_lane.copy_(_onednn(*lane))
    return out


def _onednn(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    result: Tensor = _LINEAR(_contiguous(x), _contiguous(y).mT, bias, "none", [], "")
    return result


def _contiguous(matrix: Tensor) -> Tensor:
    """Return ``matrix``, copied if it is a part of a larger one, on which oneDNN is slow."""
    is_contiguous = matrix.is_contiguous() or matrix.mT.is_contiguous()
    return matrix if is_contiguous else matrix.contiguous()
