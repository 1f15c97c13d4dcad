"""Compute matrix products of each lane with the fastest library of the CPU, MKL or oneDNN.

On a CPU PyTorch calls MKL, which reaches half of the speed of AMD processors: 100 GFLOP/s for
5600 x 300 by 300 x 360 in float32 on one core of an EPYC with AVX-512. PyTorch carries a second
library, oneDNN, which reaches 225 GFLOP/s there. Its product is
``torch.ops.mkldnn._linear_pointwise``, which ``torch.compile`` calls for a linear layer. One call
takes ten microseconds more, so small products stay with MKL. So do all products that are not in
float32 on a CPU, and all products on Intel processors, where MKL is faster.

On a CPU a lane is the same to the last bit whichever lanes are beside it: which library computes a
product depends on the shapes of one lane alone, and no function computes several lanes together
that would compute one lane otherwise.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures import nonlinearity
from trainables.architectures.derivatives import second_wanted
from trainables.processor import is_intels

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


_LINEAR = _find_onednn()
ONEDNN_IS_FASTER = _LINEAR is not None and not is_intels()


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
    if second_wanted() or not _is_lane_by_lane(weight):
        product = torch.baddbmm(bias, flat, weight)
    else:
        kind = _Affine if is_onednns(time * batch, weight) else _CompiledAffine
        product = kind.apply(flat, weight, bias)  # type: ignore[no-untyped-call]
    return product.view(lanes, time, batch, -1)


def product(x: Tensor, y: Tensor, added: Tensor | None = None) -> Tensor:
    """Compute ``x @ y + added`` of each lane; a lane's result does not depend on the others.

    Libraries compute products with a vector on their own and in a batch by different functions,
    whose last bits differ. So these are computed lane by lane.

    Args:
        x: left factor ``[lanes, rows, inputs]``.
        y: right factor ``[lanes, inputs, outputs]``.
        added: numbers that :func:`torch.baddbmm` can add, ``[lanes, rows or 1, outputs]``; None:
            zero.

    Returns:
        The result ``[lanes, rows, outputs]``.
    """
    if 1 not in (*x.shape[1:], y.shape[2]) or x.device.type != "cpu":
        return torch.bmm(x, y) if added is None else torch.baddbmm(added, x, y)
    if added is None:
        return torch.stack([torch.mm(*lane) for lane in zip(x, y, strict=True)])
    return torch.stack([torch.addmm(*lane) for lane in zip(added, x, y, strict=True)])


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


def _is_lane_by_lane(weight: Tensor) -> bool:
    """Return whether each lane is computed on its own, as the compiled loops do.

    One product of several lanes, ``torch.baddbmm``, may differ in the last bits from that of a lane
    alone.
    """
    numbers = (torch.float32, torch.float64)
    return weight.device.type == "cpu" and weight.dtype in numbers and nonlinearity.compiles()


class _CompiledAffine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        from trainables.architectures.scans.compiled import affine

        # A stride of zero says that all lanes share their inputs.
        x = (x if x.stride(0) else x[:1]).contiguous()
        weight = weight.contiguous()
        out = x.new_empty(len(weight), x.shape[1], weight.shape[2])
        affine.forward(*_arrays(x, weight, bias.squeeze(1).contiguous(), out))
        ctx.save_for_backward(x, weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from trainables.architectures.scans.compiled import affine

        x, weight = ctx.saved_tensors
        lanes, inputs, outputs = weight.shape
        rows = x.shape[1] if ctx.needs_input_grad[0] else 0
        dx, dw = x.new_empty(lanes, rows, inputs), torch.empty_like(weight)
        db = weight.new_empty(lanes, outputs)
        affine.backward(*_arrays(x, weight, gradient.contiguous(), dx, dw, db))
        return dx if rows else None, dw, db.unsqueeze(1)


def _arrays(*tensors: Tensor) -> Iterator[Any]:
    return (tensor.detach().numpy() for tensor in tensors)


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
