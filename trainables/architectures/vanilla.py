"""The vanilla network and its identity-initialised ReLU form (capacity paper, equation 1)."""

from typing import Any

import torch
from torch import Tensor

from trainables import space
from trainables.architectures import initialization
from trainables.architectures.cell import Cell, State
from trainables.space import Configuration, Space


class RNN(Cell):
    """h' = s(W_h h + W_x x + b). It may not start at the identity: that is the IRNN."""

    summary = "vanilla recurrent network"
    source = "capacity paper, equation 1"
    gates = ("h",)
    square = space.SQUARE_WITHOUT_IDENTITY

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = self.s(torch.baddbmm(u, state[0], self.recurrent_weight))
        return h, (h,)


class IRNN(RNN):
    """h' = ReLU(W_h h + W_x x + b) that starts at W_h = I and b = 0 (Le et al., 2015)."""

    summary = "ReLU network that starts at the identity"
    source = "capacity paper, equation 1; Le et al. 2015"

    @classmethod
    def space(cls, options: Any) -> Space:
        return {"h_input_scale": space.RECTANGULAR_SCALE}

    def _set_constants(self, lane: int, configuration: Configuration) -> None:
        self.relu[lane] = True

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        self.initial_state[lane].zero_()
        self.bias[lane].zero_()
        initialization.square(self.recurrent_weight[lane], "identity", 1.0, generator)
        initialization.rectangular(
            self.input_weight[lane], float(configuration["h_input_scale"]), generator
        )
