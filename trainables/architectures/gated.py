"""Gated networks: UGRNN, GRU and LSTM (capacity paper, equations 2 to 14).

Gates multiply the old state: a gate of one carries it over. The forget-bias hyperparameter is a
run-time constant inside the sigmoid and is not trained.
"""

import torch
from torch import Tensor

from trainables.architectures.cell import Cell, State


class UGRNN(Cell):
    """g = sigma(W_g [h, x] + b_g + b_fg); c = s(W_c [h, x] + b_c); h' = g h + (1 - g) c."""

    summary = "update-gate network: one coupled gate"
    source = "capacity paper, equations 2 to 4"
    gates = ("update", "candidate")

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        return {"forget_bias": "update"}

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        update, candidate = torch.baddbmm(u, h, self.recurrent_weight).chunk(2, dim=-1)
        h = torch.lerp(self.s(candidate), h, torch.sigmoid(update))
        return h, (h,)


class GRU(Cell):
    """r, u = sigma(.); c = s(W_ch (r h) + W_cx x + b_c); h' = u h + (1 - u) c.

    The reset gate acts before the recurrent product, as in the paper and unlike ``torch.nn.GRU``.
    """

    summary = "gated recurrent unit, reset before the product"
    source = "capacity paper, equations 5 to 8; Cho et al. 2014"
    gates = ("reset", "update", "candidate")

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        return {"forget_bias": "update"}

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        n = self.hidden
        gates = torch.sigmoid(
            torch.baddbmm(u[..., : 2 * n], h, self.recurrent_weight[..., : 2 * n])
        )
        reset, update = gates.chunk(2, dim=-1)
        candidate = self.s(
            torch.baddbmm(u[..., 2 * n :], reset * h, self.recurrent_weight[..., 2 * n :])
        )
        h = torch.lerp(candidate, h, update)
        return h, (h,)


class LSTM(Cell):
    """i, f, o = sigma(.); c' = f c + i s(.); h' = o tanh(c'). The outer tanh is always tanh."""

    summary = "long short-term memory"
    source = "capacity paper, equations 9 to 14; Hochreiter and Schmidhuber 1997"
    gates = ("input", "forget", "output", "candidate")
    states = ("h", "c")

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        return {"forget_bias": "forget"}

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        n = self.hidden
        z = torch.baddbmm(u, h, self.recurrent_weight)
        i, f, o = torch.sigmoid(z[..., : 3 * n]).chunk(3, dim=-1)
        c = torch.addcmul(f * c, i, self.s(z[..., 3 * n :]))
        h = o * torch.tanh(c)
        return h, (h, c)
