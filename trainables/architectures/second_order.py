"""Define second-order networks, which multiply input and state inside the recurrence.

The option ``gate`` is the nonlinearity inside the recurrence; ``act`` (see
:class:`.layer.StackOptions`) is the one between layers. With ``gate: identity`` and ``act:
identity`` the networks are polynomials of their inputs. The depth paper (arXiv 2604.02201) compares
them. CPRNN is from its predecessor (arXiv 2406.05045), MIRNN from Wu et al. 2016.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables import space
from trainables.architectures import initialization
from trainables.architectures.cell import Cell
from trainables.architectures.derivatives import second_wanted
from trainables.architectures.layer import Elementwise, StackOptions, State
from trainables.architectures.products import affine, product
from trainables.registry import require_at_least
from trainables.space import Configuration, Space


@dataclass(frozen=True)
class GateOptions(StackOptions):
    """Holds the choice of the nonlinearity inside the recurrence.

    Attributes:
        gate: nonlinearity s inside the recurrence: ``identity``, ``tanh`` or ``relu``.
    """

    gate: Elementwise = "tanh"


class _Gated(Cell):
    """A second-order cell takes its nonlinearity from the option ``gate``; it is not searched."""

    Options: ClassVar[type[StackOptions]] = GateOptions
    gates = ("h",)

    @classmethod
    def nonlinearity_of(cls, options: Any) -> Elementwise:
        gate: Elementwise = options.gate
        return gate


class SecondOrder(_Gated):
    """A second-order network (2RNN) computes h' = s(A x1 h x2 x + V h + U x + b).

    Defined in the depth paper (arXiv 2604.02201). The parameter ``tensor [lanes, inputs * hidden,
    hidden]`` holds A: row ``j * hidden + k`` has the weights of the product of input j and unit k
    to each unit. It starts as normal / sqrt(inputs * hidden), times the hyperparameter
    ``tensor_scale``.
    """

    summary = "second-order network (2RNN): a full tensor of products of input and state"
    source = "depth paper (arXiv 2604.02201), 2RNN"
    recurrent = ("recurrent_weight", "tensor")

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        self.tensor = nn.Parameter(torch.empty(lanes, inputs * hidden, hidden, **factory))

    @classmethod
    def space(cls, options: Any) -> Space:
        return {**super().space(options), "tensor_scale": space.RECTANGULAR_SCALE}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        initialization.rectangular_of("tensor", self.tensor[lane], configuration, generator)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        (h,) = state
        # A constant input of one in front makes V h one of the products of inputs and units.
        weight = torch.cat([self.recurrent_weight, self.tensor], dim=1)
        factors = torch.cat([torch.ones_like(x[..., :1]), x], dim=-1)
        outputs = []
        for u, factor in zip(self.project(x).unbind(1), factors.unbind(1), strict=True):
            if second_wanted():
                products = product(_pairs(factor, h), weight)
            else:
                products = _ProductOfPairs.apply(factor, h, weight)  # type: ignore[no-untyped-call]
            h = self.s(u + products)
            outputs.append(h)
        return torch.stack(outputs[first:], dim=1), (h,)


class _ProductOfPairs(torch.autograd.Function):
    """Computes ``sum_jk x_j h_k W[j * hidden + k]`` without storing the products x_j h_k.

    The products are ``inputs * hidden`` numbers per sample and time step, so the backward pass
    recomputes them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, h, weight)
        return product(_pairs(x, h), weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, h, weight = ctx.saved_tensors
        d_weight = product(_pairs(x, h).transpose(1, 2), gradient)
        d_pairs = product(gradient, weight.transpose(1, 2)).unflatten(2, (x.shape[2], -1))
        d_x = torch.matmul(d_pairs, h.unsqueeze(-1)).squeeze(-1)
        d_h = torch.matmul(x.unsqueeze(-2), d_pairs).squeeze(-2)
        return d_x, d_h, d_weight


def _pairs(x: Tensor, h: Tensor) -> Tensor:
    """Return all products of an input and a unit, ``[lanes, batch, inputs * hidden]``."""
    return (x.unsqueeze(-1) * h.unsqueeze(-2)).flatten(2)


@dataclass(frozen=True)
class RankOptions(GateOptions):
    """Holds the options of a second-order network whose tensor has a given rank.

    Attributes:
        rank: number of rank-one terms (outer products of three vectors) that the tensor sums.

    Raises:
        Refused: ``rank`` is not between 1 and 1,000,000.
    """

    rank: int = 8

    def __post_init__(self) -> None:
        require_at_least(self, 1, "rank", most=1_000_000)


_FACTORS = ("state_factor", "input_factor", "output_factor")


class CPRNN(_Gated):
    """A CPRNN is a 2RNN whose tensor is a sum of ``rank`` outer products (arXiv 2406.05045).

    h' = s(C (A^T h * B^T x) + V h + U x + b). The parameter ``state_factor [lanes, hidden, rank]``
    is A, ``input_factor [lanes, inputs, rank]`` is B and ``output_factor [lanes, rank, hidden]`` is
    C transposed. Each is initialised by :func:`.initialization.rectangular`, with a scale of its
    own.
    """

    summary = "second-order network with a tensor of a given rank"
    source = "depth paper; arXiv 2406.05045, CPRNN"
    recurrent = ("recurrent_weight", *_FACTORS)
    Options: ClassVar[type[StackOptions]] = RankOptions
    options: RankOptions

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        rank = options.rank
        self.state_factor = nn.Parameter(torch.empty(lanes, hidden, rank, **factory))
        self.input_factor = nn.Parameter(torch.empty(lanes, inputs, rank, **factory))
        self.output_factor = nn.Parameter(torch.empty(lanes, rank, hidden, **factory))

    @classmethod
    def space(cls, options: Any) -> Space:
        scales = {f"{factor}_scale": space.RECTANGULAR_SCALE for factor in _FACTORS}
        return {**super().space(options), **scales}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        for factor in _FACTORS:
            weight = getattr(self, factor)[lane]
            initialization.rectangular_of(factor, weight, configuration, generator)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        (h,) = state
        state_weights = torch.cat([self.state_factor, self.recurrent_weight], dim=2)
        widths = (self.options.rank, self.hidden)
        input_products = affine(x, self.input_factor, torch.zeros_like(self.input_factor[:, 0]))
        outputs = []
        for u, input_product in zip(
            self.project(x).unbind(1), input_products.unbind(1), strict=True
        ):
            state_product, first_order = product(h, state_weights).split(widths, dim=-1)
            z = product(state_product * input_product, self.output_factor, u + first_order)
            h = self.s(z)
            outputs.append(h)
        return torch.stack(outputs[first:], dim=1), (h,)


class MIRNN(_Gated):
    """An MIRNN multiplies recurrent and input products unit by unit (Wu et al. 2016, equation 4).

    h' = s(alpha * V h * U x + beta1 * V h + beta2 * U x + b). The parameters ``alpha``, ``beta1``
    and ``beta2`` are ``[lanes, hidden]`` and start at one.
    """

    summary = "multiplicative integration: products of input and state unit by unit"
    source = "depth paper; Wu et al. 2016, equation 4"
    recurrent = ("recurrent_weight", "alpha", "beta1")

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        self.alpha = nn.Parameter(torch.empty(lanes, hidden, **factory))
        self.beta1 = nn.Parameter(torch.empty(lanes, hidden, **factory))
        self.beta2 = nn.Parameter(torch.empty(lanes, hidden, **factory))

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        for parameter in (self.alpha, self.beta1, self.beta2):
            parameter[lane].fill_(1.0)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        (h,) = state
        ux = affine(x, self.input_weight, torch.zeros_like(self.bias))
        alpha, beta1, beta2, bias = (
            p[:, None, None] for p in (self.alpha, self.beta1, self.beta2, self.bias)
        )
        # alpha * V h * U x + beta1 * V h = (alpha * U x + beta1) * V h, so that the factors of V h
        # are computed for all steps at once.
        factors = torch.addcmul(beta1, alpha, ux)
        offsets = torch.addcmul(bias, beta2, ux)
        outputs = []
        for factor, offset in zip(factors.unbind(1), offsets.unbind(1), strict=True):
            h = self.s(torch.addcmul(offset, factor, product(h, self.recurrent_weight)))
            outputs.append(h)
        return torch.stack(outputs[first:], dim=1), (h,)
