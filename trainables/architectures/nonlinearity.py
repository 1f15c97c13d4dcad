"""Compute the nonlinearity s of a cell and its slope: tanh, ReLU or identity, fixed or per lane."""

from collections.abc import Callable
from functools import cache, partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Kind = Literal["identity", "tanh", "relu"]


@cache
def compiles() -> bool:
    """Return whether loops over time can be compiled for a CPU.

    Compiled loops need Numba and the BLAS that PyTorch carries.
    """
    try:
        from trainables.architectures.scans import compiled  # noqa: F401
    except ImportError:
        return False
    return True


class Nonlinearity:
    """A nonlinearity s maps pre-activations z to s(z) in each lane.

    Calling the object applies s to plain pre-activations, with autograd. Loops over time work
    without autograd:

    * Compiled loops have their own implementation of s and take its ``codes``.
    * Loops of PyTorch's operations work in place and take pre-activations that are multiplied by
      ``scale``. The caller multiplies the columns of the weights and biases that lead into s, which
      costs next to nothing. The reason is that on a CPU a sigmoid takes a fifth of the time of a
      tanh, so these loops compute tanh(z) as 2 sigmoid(2 z) - 1 (within 2.5e-7 in float32).

    Args:
        kind: one kind for all lanes, or a mask ``[lanes, 1, 1]``, true where a lane's s is ReLU and
            false where it is tanh.
        like: a tensor of the device and number format that s is used on; None: the CPU and torch's
            default number format.

    Attributes:
        is_tanh: whether s is tanh in every lane.
        scale: factor of pre-activations, a number or ``[lanes, 1, 1]`` where lanes differ; 1 for
            compiled loops.
        apply_: function that replaces scaled pre-activations ``[..., lanes, batch, hidden]`` by
            their values of s, in place and without autograd, and returns them.
    """

    scale: float | Tensor
    apply_: Callable[[Tensor], Tensor]

    def __init__(self, kind: Kind | Tensor, like: Tensor | None = None) -> None:
        relu: Tensor | None = None
        if isinstance(kind, Tensor):
            kinds, relu = kind.unique().tolist(), kind
            kind = "relu" if kinds == [True] else "tanh"
            relu = relu if len(kinds) == 2 else None
        like = torch.empty(0) if like is None else like
        fast = like.device.type == "cpu" and like.dtype in (torch.float32, torch.float64)
        self._kind, self._relu = kind, relu
        self._on_cpu = fast
        self.is_tanh = kind == "tanh" and relu is None
        self._by_sigmoid = kind == "tanh" and fast and not self.is_compiled
        # tanh(z) = factor f(factor z) + shift, where f is the sigmoid or tanh itself.
        factor, shift = (2.0, -1.0) if self._by_sigmoid else (1.0, 0.0)
        self.scale = factor
        self._factor = factor
        self._one = like.new_ones(())
        self._shift, self._slope_at_zero = like.new_tensor(shift), like.new_tensor(1 / factor)
        if relu is not None and not self.is_compiled:
            # One formula computes tanh and ReLU lanes together: clamp(z, low, high) + gain f(z).
            self._share = relu.to(like.dtype)
            self._low = (1 - self._share) * shift
            self._high = torch.where(relu, torch.inf, self._low)
            self._gain = (1 - self._share) * factor
            self.scale = self._share + self._gain
        self.apply_ = self._in_place()

    def __call__(self, z: Tensor) -> Tensor:
        """Return s(z) of pre-activations ``z [lanes, ...]`` that are not scaled."""
        if self._relu is not None:
            relu = self._relu.view(-1, *[1] * (z.dim() - 1))
            return torch.where(relu, torch.relu(z), torch.tanh(z))
        if self._kind == "tanh":
            return torch.tanh(z)
        return torch.relu(z) if self._kind == "relu" else z

    def of_scaled(self, z: Tensor) -> Tensor:
        """Return s of pre-activations ``z [lanes, batch, n]`` that are multiplied by ``scale``."""
        if isinstance(self.scale, float) and self.scale == 1:
            return self(z)
        return self(z / self.scale)

    def slope_by_value(self, s: Tensor, out: Tensor) -> Tensor:
        """Compute the derivative of s by the scaled pre-activation, from the value of s.

        Unlike :meth:`slope` it also serves objects for compiled loops.

        Args:
            s: values of s, ``[lanes, batch, n]``.
            out: memory of the same shape that is overwritten.

        Returns:
            ``out``, with the derivatives.
        """
        if self._kind == "identity":
            return out.fill_(1)
        if self._kind == "relu":
            return torch.sign(s, out=out)
        torch.addcmul(self._one, s, s, value=-1, out=out)
        if self._relu is not None:
            out = torch.where(self._relu, s.sign(), out, out=out)
        return out if isinstance(self.scale, float) and self.scale == 1 else out.div_(self.scale)

    def curvature_by_value(self, s: Tensor, out: Tensor) -> Tensor:
        """Compute the derivative of :meth:`slope_by_value` by the value of s.

        Args:
            s: values of s, ``[lanes, batch, n]``.
            out: memory of the same shape that is overwritten.

        Returns:
            ``out``, with the derivatives.
        """
        if self._kind in ("identity", "relu"):
            return out.zero_()
        torch.mul(s, -2 / self.scale, out=out)
        return out if self._relu is None else out.masked_fill_(self._relu, 0)

    @property
    def is_compiled(self) -> bool:
        """Return whether loops over time are compiled for the device and number format of ``like``.

        They are on a CPU in float32 or float64, where :func:`compiles` is true.
        """
        return self._on_cpu and compiles()

    def codes(self, lanes: int) -> npt.NDArray[np.int64]:
        """Return the code of each lane's s for compiled loops.

        Args:
            lanes: number of lanes.

        Returns:
            Values of ``scans.compiled.elementwise.CODES``, ``[lanes]``.
        """
        from trainables.architectures.scans.compiled import elementwise

        if self._relu is None:
            return np.full(lanes, elementwise.CODES[self._kind])
        relu, tanh = elementwise.CODES["relu"], elementwise.CODES["tanh"]
        return np.where(self._relu.flatten().numpy(), relu, tanh)

    # The methods below serve loops that are not compiled. They work without autograd on tensors
    # whose last three dimensions are lanes, batch and hidden.

    def _in_place(self) -> Callable[[Tensor], Tensor]:
        if self._relu is not None:
            return self._lanes_apart_
        if self._by_sigmoid:
            return partial(_tanh_by_sigmoid_, self._shift)
        return {"tanh": torch.tanh_, "relu": torch.relu_}.get(self._kind, _same)

    def _lanes_apart_(self, z: Tensor) -> Tensor:
        f = torch.sigmoid(z) if self._by_sigmoid else torch.tanh(z)
        torch.maximum(torch.minimum(z, self._high, out=z), self._low, out=z)
        return z.addcmul_(f, self._gain)

    def gate(self, z: Tensor, candidate: Tensor, *gates: Tensor) -> None:
        """Apply s to the candidate and the sigmoid to the other gates, in place.

        Args:
            z: pre-activations of all gates ``[gates, lanes, batch, hidden]``.
            candidate: the part of ``z`` that s is applied to, scaled, ``[lanes, batch, hidden]``.
            *gates: all other parts of ``z``, each ``[lanes, batch, hidden]``.
        """
        if self._by_sigmoid and self._relu is None:  # one sigmoid call serves all gates
            z.sigmoid_()
            torch.add(self._shift, candidate, alpha=2, out=candidate)
        else:
            for gate in gates:
                gate.sigmoid_()
            self.apply_(candidate)

    def slope(self, s: Tensor, out: Tensor) -> Tensor:
        """Compute the derivative of s by the scaled pre-activation, from the value of s.

        Args:
            s: values of s, ``[..., lanes, batch, hidden]``.
            out: memory of the same shape that is overwritten; it must not be ``s`` itself.

        Returns:
            ``out``, with the derivatives.
        """
        if self._kind == "identity":
            return out.fill_(1)
        if self._kind == "relu":
            return torch.sign(s, out=out)
        torch.addcmul(self._slope_at_zero, s, s, value=-1 / self._factor, out=out)
        return out if self._relu is None else torch.lerp(out, s.sign(), self._share, out=out)


def _tanh_by_sigmoid_(minus_one: Tensor, z: Tensor) -> Tensor:
    return torch.add(minus_one, z.sigmoid_(), alpha=2, out=z)


def _same(z: Tensor) -> Tensor:
    return z
