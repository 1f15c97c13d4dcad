"""The nonlinearity s of a cell: tanh, ReLU or none, per lane if need be, and its slope."""

from typing import Literal

import torch
from torch import Tensor

Kind = Literal["identity", "tanh", "relu"]


class Nonlinearity:
    """s(z), for autograd as a call and for the kernels of ``scans`` in place.

    A sigmoid costs a CPU a fifth of a tanh, so there the kernels compute tanh(z) as
    2 sigmoid(2 z) - 1, in float32 within 2.5e-7. They take pre-activations multiplied by
    ``scale``: whoever calls them multiplies the columns of the weights and biases that lead into
    s, which costs next to nothing. Calling the object applies s to a plain pre-activation.

    Args:
        kind: one kind for all lanes, or ``[lanes, 1, 1]``, true where a lane's s is ReLU and
            false where it is tanh.
        like: a tensor of the device and number format that s will be used on; without it, a CPU
            in float32 or float64.
    """

    scale: float | Tensor  # a number, or [lanes, 1, 1] where lanes differ

    def __init__(self, kind: Kind | Tensor, like: Tensor | None = None) -> None:
        self._relu: Tensor | None = None
        if isinstance(kind, Tensor):
            if bool(kind.all()):
                kind = "relu"
            elif not bool(kind.any()):
                kind = "tanh"
            else:
                self._relu = kind
        self._kind = kind
        dtype = torch.get_default_dtype() if like is None else like.dtype
        by_sigmoid = like is None or (
            like.device.type == "cpu" and dtype in (torch.float32, torch.float64)
        )
        self._by_sigmoid = by_sigmoid and kind not in ("relu", "identity")
        self._minus_one, self._slope_at_zero = torch.tensor(-1.0), torch.tensor(1.0)
        self.scale = 1.0
        if self._by_sigmoid:
            self.scale = 2.0
            self._slope_at_zero = torch.tensor(0.5)
            if self._relu is not None:
                self.scale = torch.where(self._relu, 1.0, 2.0).to(dtype)

    def __call__(self, z: Tensor) -> Tensor:
        """The value s(z) of a pre-activation that was not scaled."""
        if self._relu is not None:
            return torch.where(self._relu, torch.relu(z), torch.tanh(z))
        return {"identity": _same, "tanh": torch.tanh, "relu": torch.relu}[str(self._kind)](z)

    def apply_(self, z: Tensor) -> Tensor:
        """Write s in place of a scaled pre-activation ``[lanes, ..., hidden]`` (no autograd)."""
        if self._relu is not None:
            positive = z.clamp_min(0)
            return torch.where(self._like(z), positive, self._tanh_(z), out=z)
        if self._kind == "tanh":
            return self._tanh_(z)
        return z.relu_() if self._kind == "relu" else z

    def apply_beside_gates_(self, z: Tensor, hidden: int) -> Tensor:
        """In place: sigmoid of the columns ``z [..., :-hidden]`` and s of the last ``hidden``.

        Returns:
            The view of these last columns.
        """
        last = z[..., -hidden:]
        if self._by_sigmoid and self._relu is None:  # one sigmoid over all columns
            z.sigmoid_()
            return torch.add(self._minus_one, last, alpha=2, out=last)
        z[..., :-hidden].sigmoid_()
        return self.apply_(last)

    def slope(self, s: Tensor, out: Tensor) -> Tensor:
        """ds/d(scaled pre-activation) of the value ``s``, into ``out`` (not ``s`` itself)."""
        if self._kind == "identity":
            return out.fill_(1)
        if self._kind == "relu":
            return torch.sign(s, out=out)
        torch.addcmul(self._slope_at_zero, s, s, value=-float(self._slope_at_zero), out=out)
        return out if self._relu is None else torch.where(self._like(s), s.sign(), out, out=out)

    def _tanh_(self, z: Tensor) -> Tensor:
        if not self._by_sigmoid:
            return z.tanh_()
        return torch.add(self._minus_one, z.sigmoid_(), alpha=2, out=z)

    def _like(self, z: Tensor) -> Tensor:
        """The lanes' mask with as many dimensions as ``z``."""
        assert self._relu is not None
        return self._relu if z.dim() == 3 else self._relu.view(-1, *[1] * (z.dim() - 1))


def _same(z: Tensor) -> Tensor:
    return z
