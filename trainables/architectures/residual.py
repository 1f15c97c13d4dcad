"""Residual networks of the fading-memory paper: weakly coupled ones, and Elman's to compare."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from trainables.architectures import initialization, scans
from trainables.architectures.cell import Cell
from trainables.architectures.layer import StackOptions, State
from trainables.registry import Refused, require_at_least, require_finite
from trainables.space import Configuration, Space

Range = float | tuple[float, float]  # one number for all units, or drawn uniformly for each

PAIRED = ("rotational", "informed")  # residuals that rotate pairs of units


@dataclass(frozen=True)
class WeaklyCoupledOptions(StackOptions):
    """Which fixed residual f the network has, and how weakly its units are coupled.

    Attributes:
        residual: the linear map R: ``scaled`` (R = alpha I), ``heterogeneous`` (R = diag(alpha_i)),
            ``rotational`` (alpha times rotations of pairs of units by omega), ``orthogonal`` (alpha
            times a random orthogonal matrix) or ``informed`` (rotations by omega_i times
            diag(alpha_i)).
        form: ``linear``: h' = R h + gamma phi(a), a = W h + W_in x + b; ``A``: h' = phi(R h) +
            gamma phi(a); ``B``: h' = phi(R h + gamma a).
        nonlinearity: phi.
        alpha: the residual's strength; log(alpha) is about the network's Lyapunov exponent.
        epsilon: heterogeneous and informed residuals draw alpha_i uniformly from
            [alpha - epsilon, alpha + epsilon]; the others do not use it.
        alpha_per: whether an informed residual draws one alpha a rotated pair or one a unit,
            which makes R non-normal.
        omega: angle of the rotations in radians a step: one for all pairs, or [low, high] to draw
            each uniformly. 2 pi / 28 is the frequency of rows in sequential MNIST.
        gamma: the strength of the coupling: one for all units, or [low, high] to draw each.
    """

    residual: Literal["scaled", "heterogeneous", "rotational", "orthogonal", "informed"] = "scaled"
    form: Literal["linear", "A", "B"] = "linear"
    nonlinearity: Literal["tanh", "identity"] = "tanh"
    alpha: float = 1.0
    epsilon: float = 0.05
    alpha_per: Literal["pair", "unit"] = "pair"
    omega: Range = 2 * math.pi / 28
    gamma: Range = 0.05

    def __post_init__(self) -> None:
        require_at_least(self, 0, "alpha", "epsilon")
        require_finite(self, "omega", "gamma")
        for name in ("omega", "gamma"):
            low, high = _ends(getattr(self, name))
            if low > high:
                raise Refused(name, f"is [{low:g}, {high:g}], but the low end comes first")
        if _ends(self.gamma)[0] < 0:
            raise Refused("gamma", f"is {self.gamma}, but must be 0 or more")


def _ends(value: Range) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


class TorchLinearCell(Cell):
    """A cell whose weights start as those of ``torch.nn.Linear``; only learning is searched."""

    gates = ("h",)

    @classmethod
    def space(cls, options: Any) -> Space:
        return {}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        initialization.default_linear(self.recurrent_weight[lane], self.hidden, generator)
        initialization.default_linear(self.input_weight[lane], self.inputs, generator)
        initialization.default_linear(self.bias[lane], self.inputs, generator)


class WeaklyCoupledRNN(TorchLinearCell):
    """h' = R h + gamma phi(W h + W_in x + b) with a fixed R, and its forms A and B.

    R and gamma are buffers: drawn with the network, saved with it, not trained and not counted.
    ``residual [lanes, hidden]`` is R's diagonal; where R rotates pairs of units,
    ``residual_across [lanes, hidden]`` is what each unit gets from the other one of its pair;
    where R is orthogonal, ``residual_matrix [lanes, hidden, hidden]`` is all of it.
    """

    summary = "weakly coupled residual network"
    source = "fading-memory paper, equations 11 and 16 to 19 as reconstructed in docs/science.md"
    Options: ClassVar[type[StackOptions]] = WeaklyCoupledOptions
    options: WeaklyCoupledOptions

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        kind = options.residual
        dense = (lanes, hidden, hidden) if kind == "orthogonal" else None
        diagonal = (lanes, hidden) if kind != "orthogonal" else None
        across = (lanes, hidden) if kind in PAIRED else None
        for name, shape in (
            ("residual", diagonal),
            ("residual_across", across),
            ("residual_matrix", dense),
        ):
            self.register_buffer(name, shape and torch.zeros(shape, **factory))
        self.residual: Tensor | None
        self.residual_across: Tensor | None
        self.residual_matrix: Tensor | None
        self.register_buffer("gamma", torch.zeros(lanes, hidden, **factory))
        self.gamma: Tensor

    @classmethod
    def width_multiple(cls, options: Any) -> int:
        return 2 if options.residual in PAIRED else 1

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        options, n = self.options, self.hidden

        def draw(value: Range, count: int) -> Tensor:
            low, high = _ends(value)
            if low == high:
                return torch.full((count,), low, dtype=torch.float64)
            return torch.empty(count, dtype=torch.float64).uniform_(low, high, generator=generator)

        spread = (options.alpha - options.epsilon, options.alpha + options.epsilon)
        match options.residual:
            case "scaled":
                self._buffer("residual")[lane] = options.alpha
            case "heterogeneous":
                self._buffer("residual")[lane] = draw(spread, n).to(self.gamma)
            case "orthogonal":
                matrix = self._buffer("residual_matrix")[lane]
                initialization.square(matrix, "orthogonal", options.alpha, generator)
            case "rotational" | "informed":
                alpha = torch.full((n,), options.alpha, dtype=torch.float64)
                if options.residual == "informed":
                    per_unit = options.alpha_per == "unit"
                    alpha = draw(spread, n if per_unit else n // 2)
                    alpha = alpha if per_unit else alpha.repeat_interleave(2)
                # [cos -sin; sin cos] times the two alphas: a unit gets the other one's alpha.
                omega = draw(options.omega, n // 2)
                other = alpha.view(-1, 2).flip(1).flatten()
                across = torch.stack([-omega.sin(), omega.sin()], dim=1).flatten() * other
                self._buffer("residual")[lane] = (omega.cos().repeat_interleave(2) * alpha).to(
                    self.gamma
                )
                self._buffer("residual_across")[lane] = across.to(self.gamma)
        self.gamma[lane] = draw(options.gamma, n).to(self.gamma)

    def _buffer(self, name: str) -> Tensor:
        buffer = getattr(self, name)
        assert isinstance(buffer, Tensor)
        return buffer

    def f(self, h: Tensor) -> Tensor:
        """R h for ``h [lanes, batch, hidden]``."""
        if self.residual_matrix is not None:
            return torch.bmm(h, self.residual_matrix.transpose(1, 2))
        kept = self._buffer("residual").unsqueeze(1) * h
        if self.residual_across is None:
            return kept
        other = h.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        return torch.addcmul(kept, self.residual_across.unsqueeze(1), other)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        phi, gamma = self.nonlinearity(), self.gamma.unsqueeze(1)
        if self.options.form == "B":  # an Elman network with the weight gamma W + R
            identity = torch.eye(self.hidden, dtype=x.dtype, device=x.device)
            residual = self.f(identity.expand(self.lanes, -1, -1))
            factors = self.column_factors()
            coupled = factors * gamma
            bias = self.bias * coupled.squeeze(1)
            inputs = scans.Inputs(x, self.input_weight * coupled, bias)
            weight = residual * factors + self.recurrent_weight * coupled
            outputs = scans.elman(inputs, state[0], weight, phi, first=first)
        elif self.options.form == "linear" and self.options.residual in ("scaled", "heterogeneous"):
            inputs, weight = self.scaled(x)
            carry = self._buffer("residual").unsqueeze(1)
            outputs = scans.elman(
                inputs, state[0], weight, phi, carry=carry, gamma=gamma, first=first
            )
        else:
            return super().run(x, state, first)
        return outputs, (outputs[:, -1],)

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        kept = self.f(h)
        if self.options.form == "A":
            kept = self.s(kept)
        drive = self.s(torch.baddbmm(u, h, self.recurrent_weight))
        h = torch.addcmul(kept, self.gamma.unsqueeze(1), drive)
        return h, (h,)


@dataclass(frozen=True)
class ElmanOptions(StackOptions):
    """Whether there is a residual.

    Attributes:
        residual: ``none``, or ``identity`` to add the old state to the new one.
    """

    residual: Literal["none", "identity"] = "none"


class Elman(TorchLinearCell):
    """h' = tanh(W h + W_in x + b), or h' = h + tanh(W h + W_in x + b)."""

    summary = "Elman network, with an identity residual if asked for"
    source = "fading-memory paper, Table 2"
    Options: ClassVar[type[StackOptions]] = ElmanOptions
    options: ElmanOptions

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        phi = self.nonlinearity()
        inputs, weight = self.scaled(x)
        carry = None
        if self.options.residual == "identity":
            carry = torch.ones(1, 1, 1, dtype=x.dtype, device=x.device)
        outputs = scans.elman(inputs, state[0], weight, phi, carry=carry, first=first)
        return outputs, (outputs[:, -1],)
