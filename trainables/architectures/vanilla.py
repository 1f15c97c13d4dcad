"""Define the vanilla recurrent networks RNN, IRNN and linear RNN."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from trainables import space
from trainables.architectures import initialization
from trainables.architectures.cell import Cell
from trainables.architectures.layer import Elementwise, StackOptions
from trainables.space import Configuration, Space


@dataclass(frozen=True)
class SearchedNonlinearity(StackOptions):
    """Holds the choice of the nonlinearity s, which the capacity paper tunes.

    Attributes:
        nonlinearity: ``tanh``, ``relu``, or ``searched``: a hyperparameter of each configuration.
    """

    nonlinearity: Literal["searched", "tanh", "relu"] = "searched"


class RNN(Cell):
    """A vanilla RNN computes h' = s(W_h h + W_x x + b) (capacity paper, equation 1).

    Its recurrent matrix never starts at the identity, which sets it apart from the IRNN.
    """

    summary = "vanilla recurrent network"
    source = "capacity paper, equation 1"
    Options: ClassVar[type[StackOptions]] = SearchedNonlinearity
    gates = ("h",)
    scan = "elman"
    square = space.SQUARE_WITHOUT_IDENTITY


class IRNN(RNN):
    """An IRNN computes h' = ReLU(W_h h + W_x x + b) and starts at W_h = I and b = 0.

    Defined by Le et al. (2015); equation 1 of the capacity paper.
    """

    summary = "ReLU network that starts at the identity"
    source = "capacity paper, equation 1; Le et al. 2015"
    Options: ClassVar[type[StackOptions]] = StackOptions

    @classmethod
    def nonlinearity_of(cls, options: Any) -> Elementwise:
        return "relu"

    @classmethod
    def space(cls, options: Any) -> Space:
        return {"h_input_scale": space.RECTANGULAR_SCALE}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        self.bias[lane].zero_()
        initialization.square(self.recurrent_weight[lane], "identity", 1.0, generator)
        initialization.rectangular_of("h_input", self.input_weight[lane], configuration, generator)


class LinearRNN(RNN):
    """A linear RNN computes h' = V h + U x + b (depth paper, arXiv 2604.02201)."""

    summary = "linear recurrent network; nonlinear between layers with act"
    source = "depth paper (arXiv 2604.02201), linear RNN"
    Options: ClassVar[type[StackOptions]] = StackOptions
    square = space.SQUARE

    @classmethod
    def nonlinearity_of(cls, options: Any) -> Elementwise:
        return "identity"
