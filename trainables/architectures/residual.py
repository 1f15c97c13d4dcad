"""Define the fading-memory paper's weakly coupled residual networks, and Elman networks."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from trainables.architectures import initialization, scans
from trainables.architectures.cell import Cell
from trainables.architectures.layer import Growth, StackOptions, State
from trainables.architectures.products import product
from trainables.registry import IN_A_FILE, Refused, require_at_least, require_finite
from trainables.space import Configuration, Space

# One number for all units, or [low, high]: a number drawn uniformly for each unit.
Range = float | tuple[float, float]

PAIRED = ("rotational", "informed")  # residuals that rotate pairs of units
DRAWN = ("heterogeneous", "informed")  # residuals with drawn alphas
# What a new sweep takes for epsilon: this share of the distance from alpha to the edge of chaos at
# 1, and at least LEAST_SPREAD. Networks of all such alphas train over 784 steps and more.
SHARE = 0.75
LEAST_SPREAD = 0.005


@dataclass(frozen=True)
class WeaklyCoupledOptions(StackOptions):
    """Holds the fixed residual of a weakly coupled network and the strength of the coupling.

    Attributes:
        residual: kind of the linear map R: ``scaled`` (R = alpha I), ``heterogeneous``
            (R = diag(alpha_i)), ``rotational`` (alpha times rotations of pairs of units by omega),
            ``orthogonal`` (alpha times a random orthogonal matrix) or ``informed`` (rotations by
            omega_i times diag(alpha_i)).
        form: update of the state: ``linear`` is h' = R h + gamma phi(a), ``A`` is h' = phi(R h) +
            gamma phi(a), ``B`` is h' = phi(R h + gamma a), where a = W h + W_in x + b.
        nonlinearity: nonlinearity phi.
        alpha: strength of the residual; log(alpha) is about the network's Lyapunov exponent.
        epsilon: half the width of the interval [alpha - epsilon, alpha + epsilon] from which
            heterogeneous and informed residuals draw alpha_i uniformly; the others ignore it. A
            sweep file that gives none gets :meth:`WeaklyCoupledRNN.stated`.
        alpha_per: ``pair``: an informed residual draws one alpha for each rotated pair; ``unit``:
            one for each unit, which makes R non-normal.
        omega: angle of the rotations in radians per time step: one number for all pairs, or
            [low, high] to draw the angle of each pair uniformly. 2 pi / 28 is the frequency of rows
            in sequential MNIST.
        gamma: strength of the coupling: one number for all units, or [low, high] to draw that of
            each unit uniformly.

    Raises:
        Refused: a number is negative (except ``omega``) or not finite, or a range has its ends
            swapped.
    """

    residual: Literal["scaled", "heterogeneous", "rotational", "orthogonal", "informed"] = "scaled"
    form: Literal["linear", "A", "B"] = "linear"
    nonlinearity: Literal["tanh", "identity"] = "tanh"
    alpha: float = 1.0
    epsilon: float = field(default=0.05, metadata={IN_A_FILE: "0.75 (1 - alpha), at least 0.005"})
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
    """A cell of this kind initialises its weights and biases as ``torch.nn.Linear`` does.

    Its own search space is empty: only hyperparameters of learning are searched.
    """

    gates = ("h",)

    @classmethod
    def space(cls, options: Any) -> Space:
        return {}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        initialization.default_linear(self.recurrent_weight[lane], self.hidden, generator)
        initialization.default_linear(self.input_weight[lane], self.inputs, generator)
        initialization.default_linear(self.bias[lane], self.inputs, generator)


class WeaklyCoupledRNN(TorchLinearCell):
    """A weakly coupled residual network adds a fixed linear residual R h to its recurrence.

    h' = R h + gamma phi(W h + W_in x + b); :class:`WeaklyCoupledOptions` gives the forms A and B
    (fading-memory paper, equations 11 and 16 to 19 as reconstructed in docs/science.md).

    R and gamma are buffers: they are drawn with the network and saved with it, but neither trained
    nor counted as parameters. ``residual [lanes, hidden]`` is the diagonal of R. If R rotates pairs
    of units, ``residual_across [lanes, hidden]`` is the weight to each unit from the other unit of
    its pair. If R is orthogonal, ``residual_matrix [lanes, hidden, hidden]`` is all of R and there
    is no ``residual``.
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

    @classmethod
    def stated(cls, options: Any) -> dict[str, Any]:
        """Return the epsilon of drawn alphas: 0.75 (1 - alpha), but at least 0.005.

        The default of 0.05 takes alphas so far beyond 1 that long sequences cannot be trained.
        """
        if options.residual not in DRAWN:
            return {}
        return {"epsilon": round(max(SHARE * (1 - options.alpha), LEAST_SPREAD), 6)}

    @classmethod
    def growth(cls, options: Any) -> Growth:
        """Return the largest alpha of the residual; forms A and B bound it by their tanh."""
        if options.form != "linear" and options.nonlinearity == "tanh":
            return Growth(1.0, "")
        if options.residual in DRAWN:
            return Growth(options.alpha + options.epsilon, "alpha + epsilon")
        return Growth(options.alpha, "alpha")

    def _draw_constants(
        self, lane: int, configuration: Configuration, generator: torch.Generator
    ) -> None:
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
                # R is [cos -sin; sin cos] times the diagonal matrix of the pair's two alphas, so
                # the weight across a pair contains the alpha of the unit that it comes from.
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
        """Return the residual R h of states ``h [lanes, batch, hidden]``."""
        if self.residual_matrix is not None:
            return product(h, self.residual_matrix.transpose(1, 2))
        diagonal_part = self._buffer("residual").unsqueeze(1) * h
        if self.residual_across is None:
            return diagonal_part
        other = h.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        return torch.addcmul(diagonal_part, self.residual_across.unsqueeze(1), other)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        phi, gamma = self.nonlinearity(), self.gamma.unsqueeze(1)
        if self.options.form == "B":  # an Elman network whose recurrent weight is gamma W + R
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
        carried = self.f(h)
        if self.options.form == "A":
            carried = self.s(carried)
        drive = self.s(product(h, self.recurrent_weight, u))
        h = torch.addcmul(carried, self.gamma.unsqueeze(1), drive)
        return h, (h,)


@dataclass(frozen=True)
class ElmanOptions(StackOptions):
    """Holds the residual of an Elman network.

    Attributes:
        residual: ``none``, or ``identity`` to add the old state to the new one.
    """

    residual: Literal["none", "identity"] = "none"


class Elman(TorchLinearCell):
    """An Elman network computes h' = tanh(W h + W_in x + b) (fading-memory paper, Table 2).

    With an identity residual it computes h' = h + tanh(W h + W_in x + b).
    """

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
