"""Weakly coupled residual networks (the fading-memory paper)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from trainables.architectures import initialization
from trainables.architectures.cell import Cell, State
from trainables.registry import require_at_least
from trainables.space import Configuration, Space


@dataclass(frozen=True)
class WeaklyCoupledOptions:
    """Which fixed residual R the network has, and how weakly its units are coupled.

    Attributes:
        residual: ``scaled`` (homogeneous, R = alpha I) or ``heterogeneous`` (R = diag(alpha_i),
            alpha_i drawn uniformly from [alpha - epsilon, alpha + epsilon] for each network).
        alpha: the residual's strength; log(alpha) is about the network's Lyapunov exponent.
        epsilon: half the width of the heterogeneous distribution; ``scaled`` does not use it.
        gamma: the strength of the coupling.
    """

    residual: Literal["scaled", "heterogeneous"] = "scaled"
    alpha: float = 1.0
    epsilon: float = 0.05
    gamma: float = 0.05

    def __post_init__(self) -> None:
        require_at_least("wcrnn", self, 0, "alpha", "epsilon", "gamma")


class WeaklyCoupledRNN(Cell):
    """h' = R h + gamma tanh(W h + W_in x + b), with a fixed diagonal R.

    R's diagonal is the buffer ``residual [lanes, hidden]``: drawn with the network, saved with
    it, not trained and not counted. W, W_in and b start as in ``torch.nn.Linear``.
    """

    summary = "weakly coupled residual network"
    source = "fading-memory paper, linear residual h' = R h + gamma tanh(W h + W_in x + b)"
    Options: ClassVar[type] = WeaklyCoupledOptions
    gates = ("h",)
    options: WeaklyCoupledOptions

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        self.register_buffer("residual", torch.full((lanes, hidden), options.alpha, **factory))
        self.residual: Tensor

    @classmethod
    def space(cls, options: Any) -> Space:
        return {}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        self.initial_state[lane].zero_()
        initialization.default_linear(self.recurrent_weight[lane], self.hidden, generator)
        initialization.default_linear(self.input_weight[lane], self.inputs, generator)
        initialization.default_linear(self.bias[lane], self.inputs, generator)
        if self.options.residual == "heterogeneous":
            spread = torch.empty(self.hidden, dtype=torch.float64).uniform_(
                -1, 1, generator=generator
            )
            self.residual[lane].copy_(self.options.alpha + self.options.epsilon * spread)

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        drive = torch.tanh(torch.baddbmm(u, h, self.recurrent_weight))
        h = torch.add(self.residual.unsqueeze(1) * h, drive, alpha=self.options.gamma)
        return h, (h,)
