"""The intersection network, +RNN (capacity paper, equations 15 to 20)."""

from typing import Any

import torch
from torch import Tensor, nn

from trainables.architectures import initialization
from trainables.architectures.cell import Cell, State
from trainables.space import Configuration, Space


class Intersection(Cell):
    """y = g_y x + (1 - g_y) ReLU(.) over depth, h' = g_h h + (1 - g_h) tanh(.) over time.

    The layer above and the readout see y. x must be as wide as h: the first layer projects it
    affinely, without a nonlinearity (``projection_weight [lanes, inputs, hidden]``,
    ``projection_bias [lanes, hidden]``). The paper excludes depth 1.
    """

    summary = "intersection network (+RNN): coupled gates over depth and time"
    source = "capacity paper, equations 15 to 20"
    gates = ("y", "h", "y_gate", "h_gate")
    minimal_depth = 2

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, hidden, hidden, options, **factory)
        self.projection_weight: nn.Parameter | None = None
        self.projection_bias: nn.Parameter | None = None
        if inputs != hidden:
            self.projection_weight = nn.Parameter(torch.empty(lanes, inputs, hidden, **factory))
            self.projection_bias = nn.Parameter(torch.empty(lanes, hidden, **factory))

    @classmethod
    def space(cls, options: Any) -> Space:
        dimensions = dict(super().space(options))
        del dimensions["nonlinearity"]  # the paper uses ReLU for s1 and tanh for s2
        return dimensions

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        return {"forget_bias_y": "y_gate", "forget_bias_h": "h_gate"}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        if self.projection_weight is not None and self.projection_bias is not None:
            initialization.rectangular(self.projection_weight[lane], 1.0, generator)
            self.projection_bias[lane].zero_()

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        if self.projection_weight is not None and self.projection_bias is not None:
            lanes, time, batch, inputs = x.shape
            flat = x.reshape(lanes, time * batch, inputs)
            projected = torch.baddbmm(
                self.projection_bias.unsqueeze(1), flat, self.projection_weight
            )
            x = projected.view(lanes, time, batch, self.hidden)
        return super().forward(x, state)

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        n = self.hidden
        z = torch.baddbmm(u, h, self.recurrent_weight)
        y_in = torch.relu(z[..., :n])
        h_in = torch.tanh(z[..., n : 2 * n])
        y_gate, h_gate = torch.sigmoid(z[..., 2 * n :]).chunk(2, dim=-1)
        return torch.lerp(y_in, x, y_gate), (torch.lerp(h_in, h, h_gate),)
