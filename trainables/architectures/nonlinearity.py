"""The nonlinearity s of a cell: tanh, ReLU or none, per lane if need be, and its slope."""

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
    """Whether loops over time on a CPU are compiled: Numba is there, and PyTorch's BLAS is."""
    try:
        from trainables.architectures.scans import compiled  # noqa: F401
    except ImportError:
        return False
    return True


class Nonlinearity:
    """s(z), for autograd as a call and for the loops of ``scans`` in place.

    Compiled loops have an s of their own and want to know its ``codes``. To others a sigmoid costs
    a fifth of a tanh on a CPU, so there they compute tanh(z) as 2 sigmoid(2 z) - 1, in float32
    within 2.5e-7. They take pre-activations multiplied by ``scale``: whoever calls them multiplies
    the columns of the weights and biases that lead into s, which costs next to nothing. Calling
    the object applies s to a plain pre-activation.

    Args:
        kind: one kind for all lanes, or ``[lanes, 1, 1]``, true where a lane's s is ReLU and
            false where it is tanh.
        like: a tensor of the device and number format that s will be used on; without it, a CPU
            in float32 or float64.

    Attributes:
        is_tanh: whether it is tanh in every lane.
        scale: a number, or ``[lanes, 1, 1]`` where lanes differ; one for compiled loops.
        apply_: s in place of a scaled pre-activation ``[..., lanes, batch, hidden]``, which it
            returns; no autograd.
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
        # tanh(z) = factor f(factor z) + shift, with f a sigmoid or tanh itself.
        factor, shift = (2.0, -1.0) if self._by_sigmoid else (1.0, 0.0)
        self.scale = factor
        self._factor = factor
        self._shift, self._slope_at_zero = like.new_tensor(shift), like.new_tensor(1 / factor)
        if relu is not None and not self.is_compiled:
            # One formula for both: clamp(z, low, high) + gain f(z).
            self._share = relu.to(like.dtype)
            self._low = (1 - self._share) * shift
            self._high = torch.where(relu, torch.inf, self._low)
            self._gain = (1 - self._share) * factor
            self.scale = self._share + self._gain
        self.apply_ = self._in_place()

    def __call__(self, z: Tensor) -> Tensor:
        """The value s(z) of a pre-activation that was not scaled, ``[lanes, ...]``."""
        if self._relu is not None:
            relu = self._relu.view(-1, *[1] * (z.dim() - 1))
            return torch.where(relu, torch.relu(z), torch.tanh(z))
        if self._kind == "tanh":
            return torch.tanh(z)
        return torch.relu(z) if self._kind == "relu" else z

    @property
    def is_compiled(self) -> bool:
        """Whether the loops it is used in are compiled."""
        return self._on_cpu and compiles()

    def codes(self, lanes: int) -> npt.NDArray[np.int64]:
        """For compiled loops the code of each lane's s."""
        from trainables.architectures.scans.compiled import elementwise

        if self._relu is None:
            return np.full(lanes, elementwise.CODES[self._kind])
        relu, tanh = elementwise.CODES["relu"], elementwise.CODES["tanh"]
        return np.where(self._relu.flatten().numpy(), relu, tanh)

    # What follows is for the other loops: no autograd, and lanes are the last dimension but two.

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
        """In place of ``z [gates, lanes, batch, hidden]``: s of one gate, sigmoids of the others.

        Args:
            candidate: the part of ``z`` that s is for.
            *gates: the other parts.
        """
        if self._by_sigmoid and self._relu is None:  # one sigmoid for all of them
            z.sigmoid_()
            torch.add(self._shift, candidate, alpha=2, out=candidate)
        else:
            for gate in gates:
                gate.sigmoid_()
            self.apply_(candidate)

    def slope(self, s: Tensor, out: Tensor) -> Tensor:
        """Write ds/d(scaled pre-activation) at the value ``s`` into ``out`` (not ``s`` itself)."""
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
