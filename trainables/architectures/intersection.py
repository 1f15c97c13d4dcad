"""Define the intersection network, +RNN (capacity paper, equations 15 to 20)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trainables.architectures import initialization, scans
from trainables.architectures.cell import Cell
from trainables.architectures.layer import Elementwise, StackOptions, State
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.products import affine, product
from trainables.space import Configuration


@dataclass(frozen=True)
class IntersectionOptions(StackOptions):
    """Holds the two nonlinearities of an intersection network; the paper uses ReLU and tanh.

    Attributes:
        s1: nonlinearity of the candidate over depth.
        s2: nonlinearity of the candidate over time.
    """

    s1: Elementwise = "relu"
    s2: Elementwise = "tanh"


class Intersection(Cell):
    """An intersection network couples a gate over depth with a gate over time.

    y = g_y x + (1 - g_y) s1(.) over depth, h' = g_h h + (1 - g_h) s2(.) over time (capacity paper,
    equations 15 to 20). Both gates have a forget bias.

    The layer above and the readout see y. x must be as wide as h, so a layer whose inputs have
    another width first projects them affinely, without a nonlinearity (``projection_weight [lanes,
    inputs, hidden]``, ``projection_bias [lanes, hidden]``). The paper excludes depth 1.
    """

    summary = "intersection network (+RNN): coupled gates over depth and time"
    source = "capacity paper, equations 15 to 20"
    Options: ClassVar[type[StackOptions]] = IntersectionOptions
    gates = ("y_gate", "y", "h_gate", "h")
    minimal_depth = 2
    options: IntersectionOptions

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, hidden, hidden, options, **factory)
        self.projection_weight: nn.Parameter | None = None
        self.projection_bias: nn.Parameter | None = None
        if inputs != hidden:
            self.projection_weight = nn.Parameter(torch.empty(lanes, inputs, hidden, **factory))
            self.projection_bias = nn.Parameter(torch.empty(lanes, hidden, **factory))

    @classmethod
    def nonlinearity_of(cls, options: Any) -> Elementwise:
        s2: Elementwise = options.s2
        return s2

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        return {"forget_bias_y": "y_gate", "forget_bias_h": "h_gate"}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        if self.projection_weight is not None and self.projection_bias is not None:
            initialization.rectangular(self.projection_weight[lane], 1.0, generator)
            self.projection_bias[lane].zero_()

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        if self.projection_weight is not None and self.projection_bias is not None:
            x = affine(x, self.projection_weight, self.projection_bias)
        (h,) = state
        n, phi = self.hidden, self.nonlinearity()
        inputs, weight = self.scaled(x)
        u = inputs.projected()
        # Over time the layer is a UGRNN: h does not depend on y, so y is computed for all steps at
        # once from the states before them.
        over_depth, over_time = u[:, first:, :, : 2 * n], u[..., 2 * n :]
        states = scans.ugrnn(
            scans.Inputs(over_time), h, weight[..., 2 * n :], phi, first=max(first - 1, 0)
        )
        before = states[:, :-1] if first else torch.cat([h.unsqueeze(1), states[:, :-1]], dim=1)
        recurrent = product(before.flatten(1, 2), weight[..., : 2 * n])
        gate, y = (over_depth + recurrent.view(over_depth.shape)).chunk(2, dim=-1)
        y = torch.lerp(Nonlinearity(self.options.s1)(y), x[:, first:], torch.sigmoid(gate))
        return y, (states[:, -1],)
