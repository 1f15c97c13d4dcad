"""Large matrix products, each lane its own.

``torch.bmm`` on a CPU is MKL's, which uses half of what a processor of AMD's can do (5600 x 300 by
300 x 360 in float32: 100 GFLOP/s on one core of an EPYC with AVX-512). PyTorch carries another
library, oneDNN, that uses all of it (225): its product is ``torch.ops.mkldnn._linear_pointwise``,
what ``torch.compile`` calls for a linear layer. It costs ten microseconds more a call, so small
products stay with ``torch.bmm``, as does all that is not float32 on a CPU, and all on processors
of Intel's, where MKL is the faster one.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LARGE = 1 << 21  # multiplications from which on a lane's product is given to oneDNN
NARROW = 32  # columns: with fewer, MKL takes as long as for this many
ROWS = 1024  # that a sum over rows takes at a time: their memory is read twice, so from a cache


def _find_onednn() -> Any:
    """The product, if this release of PyTorch has it and it does what it does in others."""
    if not torch.backends.mkldnn.is_available():
        return None
    a, b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]])
    try:
        linear = torch.ops.mkldnn._linear_pointwise
        right = torch.equal(linear(a, b, a[0], "none", [], ""), a @ b.mT + a[0])
    except (AttributeError, RuntimeError, TypeError):
        return None
    return linear if right else None


def _is_intels() -> bool:
    """Whether the processor is one of Intel's, as Linux says."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


_LINEAR = _find_onednn()
ONEDNN_IS_FASTER = _LINEAR is not None and not _is_intels()


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x @ weight + bias`` for all time steps at once.

    Shapes: ``x [lanes, time, batch, inputs]``, ``weight [lanes, inputs, outputs]``,
    ``bias [lanes, outputs]``. The result is in memory that nobody else reads, not even autograd.
    """
    lanes, time, batch, inputs = x.shape
    flat, bias = x.reshape(lanes, time * batch, inputs), bias.unsqueeze(1)
    if is_onednns(time * batch, weight):
        product: Tensor = _Affine.apply(flat, weight, bias)  # type: ignore[no-untyped-call]
    else:
        product = torch.baddbmm(bias, flat, weight)
    return product.view(lanes, time, batch, -1)


def add_products(total: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Add ``x^T @ y``, a sum over rows, to ``total``.

    Shapes: ``total [lanes, n, m]``, ``x [lanes, rows, n]``, ``y [lanes, rows, m]``.
    """
    if not is_onednns(x.shape[-1], y):
        return total.baddbmm_(x.mT, y)
    for x_part, y_part in zip(torch.split(x, ROWS, 1), torch.split(y, ROWS, 1), strict=True):
        for sums, x_lane, y_lane in zip(total, x_part, y_part, strict=True):
            if x_lane.shape[1] <= y_lane.shape[1]:  # oneDNN copies what it is to transpose
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
    """Whether the product of so many rows and ``y [lanes, inputs, outputs]`` is oneDNN's.

    The number of lanes does not matter.
    """
    single = ONEDNN_IS_FASTER and y.dtype == torch.float32 and y.device.type == "cpu"
    return single and rows * y.shape[-2] * max(y.shape[-1], NARROW) >= LARGE


def _product(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    biases = [None] * len(x) if bias is None else list(bias.squeeze(1).unbind(0))
    if len(x) == 1:
        return _onednn(x[0], y[0], biases[0]).unsqueeze(0)
    out = x.new_empty(*x.shape[:2], y.shape[2])
    for out_lane, *lane in zip(out, x, y, biases, strict=True):
        out_lane.copy_(_onednn(*lane))
    return out


def _onednn(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    result: Tensor = _LINEAR(_whole(x), _whole(y).mT, bias, "none", [], "")
    return result


def _whole(matrix: Tensor) -> Tensor:
    """A copy if ``matrix`` is neither a whole one nor its transpose: oneDNN crawls on parts."""
    whole = matrix.is_contiguous() or matrix.mT.is_contiguous()
    return matrix if whole else matrix.contiguous()
