"""Define S4D, a diagonal state space model, as a reference for the recurrent networks."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from trainables.architectures import initialization
from trainables.architectures.layer import Layer, StackOptions, State
from trainables.architectures.products import affine
from trainables.registry import Refused, require_at_least
from trainables.space import Configuration

STEP_RANGE = (1e-3, 1e-1)  # range of the initial step size dt, which is drawn log-uniformly


@dataclass(frozen=True)
class S4DOptions(StackOptions):
    """Holds the size of each channel's state.

    Attributes:
        state_size: size of the state as a count of real numbers, which must be even: half as many
            complex numbers are stored, each for a conjugate pair.

    Raises:
        Refused: ``state_size`` is odd or not between 2 and 1,000,000.
    """

    state_size: int = 64

    def __post_init__(self) -> None:
        require_at_least(self, 2, "state_size", most=1_000_000)
        if self.state_size % 2:
            reason = f"is {self.state_size}, but must be even: the state is conjugate pairs"
            raise Refused("state_size", reason)


class S4D(Layer):
    """An S4D layer runs one diagonal state space model in each of ``hidden`` channels.

    v' = exp(dt A) v + u, y = 2 Re(C (exp(dt A) - 1) / A v') + D u, out = GLU(W GELU(y) + b), where
    A = -exp(log_real) + i imaginary is discretised by a zero-order hold and starts at
    -1/2 + i pi n (S4D-Lin, Gu et al. 2022). A convolution runs over the whole sequence at once.

    The state v of a channel is ``state_size / 2`` complex numbers. Their real parts and their
    imaginary parts are the two parts of the layer's state. An input that is not ``hidden`` wide is
    first projected affinely.

    The parameters are, with n = ``state_size / 2``:

    * ``input_weight [lanes, inputs, hidden]``, ``input_bias [lanes, hidden]`` of the projection
    * ``log_step`` (the logarithm of dt), ``skip_weight`` (D), both ``[lanes, hidden]``
    * ``log_real``, ``imaginary``, ``c_real``, ``c_imaginary``, each ``[lanes, hidden, n]``
    * ``output_weight [lanes, hidden, 2 * hidden]`` (W), ``output_bias [lanes, 2 * hidden]`` (b)

    Only hyperparameters of learning are searched. The layer works in float32 or float64.
    """

    summary = "diagonal state space model, a reference"
    source = "fading-memory paper, Table 2 (S4); Gu et al. 2022, S4D-Lin"
    Options: ClassVar[type[StackOptions]] = S4DOptions
    states = ("real", "imaginary")
    recurrent = ("log_step", "log_real", "imaginary")
    options: S4DOptions

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(lanes, *shape, **factory))

        self.input_weight: nn.Parameter | None = None
        self.input_bias: nn.Parameter | None = None
        if inputs != hidden:
            self.input_weight = parameter(inputs, hidden)
            self.input_bias = parameter(hidden)
        pairs = options.state_size // 2
        self.log_step, self.skip_weight = parameter(hidden), parameter(hidden)
        self.log_real, self.imaginary = parameter(hidden, pairs), parameter(hidden, pairs)
        self.c_real, self.c_imaginary = parameter(hidden, pairs), parameter(hidden, pairs)
        self.output_weight, self.output_bias = parameter(hidden, 2 * hidden), parameter(2 * hidden)

    @property
    def state_widths(self) -> tuple[int, ...]:
        return (self.hidden * self.options.state_size // 2,) * 2

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        def normal(values: Tensor, deviation: float) -> None:
            drawn = torch.empty(values.shape, dtype=torch.float64).normal_(generator=generator)
            values.copy_(drawn * deviation)

        if self.input_weight is not None and self.input_bias is not None:
            initialization.default_linear(self.input_weight[lane], self.inputs, generator)
            initialization.default_linear(self.input_bias[lane], self.inputs, generator)
        low, high = map(math.log, STEP_RANGE)
        steps = torch.empty(self.hidden, dtype=torch.float64)
        self.log_step[lane] = steps.uniform_(low, high, generator=generator).to(self.log_step)
        self.log_real[lane] = math.log(0.5)
        pairs = torch.arange(self.imaginary.shape[2], dtype=torch.float64)
        self.imaginary[lane] = (math.pi * pairs).to(self.imaginary)
        normal(self.c_real[lane], math.sqrt(0.5))
        normal(self.c_imaginary[lane], math.sqrt(0.5))
        normal(self.skip_weight[lane], 1.0)
        initialization.default_linear(self.output_weight[lane], self.hidden, generator)
        initialization.default_linear(self.output_bias[lane], self.hidden, generator)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        x, weights, (real, imaginary) = self._projected(x), self._weights(), state
        if x.device.type != "cpu":
            y, *final = _convolve(x, real, imaginary, weights)
            return y[:, first:], tuple(final)
        # On a CPU the last bits of complex numbers and of their sums depend on their place in
        # memory. So lanes are computed one by one.
        lanes = zip(*(part.split(1) for part in (x, real, imaginary, *weights)), strict=True)
        results = [_convolve(x, r, i, _Weights(*rest)) for x, r, i, *rest in lanes]
        y, *final = (torch.cat(parts) for parts in zip(*results, strict=True))
        return y[:, first:], tuple(final)

    def output_by_state(self, x: Tensor, output: Tensor, state: State) -> Tensor:
        weights = self._weights()
        _, c = _transition(weights)
        v = torch.complex(*(part.unflatten(-1, (self.hidden, -1)) for part in state))
        y = (v * c.unsqueeze(1)).sum(-1).real.unsqueeze(1)
        return _mix(y + self.skip_weight[:, None, None] * self._projected(x), weights)

    def exponents(self) -> Tensor:
        decay, _ = _transition(self._weights())
        return decay.real.flatten(1).repeat_interleave(2, dim=1)  # the modulus of exp(dt A), twice

    def _projected(self, x: Tensor) -> Tensor:
        """Return the inputs of the states, ``[lanes, time, batch, hidden]``."""
        if self.input_weight is None or self.input_bias is None:
            return x
        return affine(x, self.input_weight, self.input_bias)

    def _weights(self) -> "_Weights":
        return _Weights(*(getattr(self, name) for name in _Weights._fields))


class _Weights(NamedTuple):
    """Holds the parameters of :class:`S4D` but those of its inputs, under their names there."""

    log_step: Tensor
    skip_weight: Tensor
    log_real: Tensor
    imaginary: Tensor
    c_real: Tensor
    c_imaginary: Tensor
    output_weight: Tensor
    output_bias: Tensor


def _convolve(
    x: Tensor, real: Tensor, imaginary: Tensor, weights: _Weights
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the outputs at all steps, and the real and imaginary parts of the final states.

    Args:
        x: inputs of the states ``[lanes, time, batch, hidden]``.
        real: real parts of the initial states ``[lanes, batch, hidden * pairs]``.
        imaginary: their imaginary parts.
        weights: the parameters.
    """
    time, n = x.shape[1], x.shape[3]
    decay, c = _transition(weights)
    # powers[..., t] = exp(dt A)^t, [lanes, hidden, pairs, time + 1]
    exponents = torch.arange(time + 1, dtype=x.dtype, device=x.device)
    powers = torch.exp(decay.unsqueeze(-1) * exponents)

    kernel = torch.matmul(c.unsqueeze(-2), powers[..., :-1]).real.squeeze(-2)
    sequence = x.permute(0, 3, 2, 1)  # [lanes, hidden, batch, time]
    length = 2 * time
    spectrum = torch.fft.rfft(sequence, length) * torch.fft.rfft(kernel, length).unsqueeze(2)
    driven = torch.fft.irfft(spectrum, length)[..., :time]

    v = torch.complex(*(part.unflatten(-1, (n, -1)) for part in (real, imaginary))).transpose(1, 2)
    free = torch.matmul(v * c.unsqueeze(2), powers[..., 1:]).real
    y = (driven + free).permute(0, 3, 2, 1) + weights.skip_weight[:, None, None] * x

    # v_T = exp(dt A)^T v_0 + sum_j exp(dt A)^(T - 1 - j) x_j
    driven_state = torch.matmul(
        torch.view_as_real(powers[..., :-1].flip(-1)).permute(0, 1, 4, 2, 3).flatten(2, 3),
        sequence.transpose(2, 3),
    ).unflatten(2, (2, -1))
    final = v * powers[..., -1].unsqueeze(2) + torch.complex(
        *driven_state.transpose(-1, -2).unbind(2)
    )
    real, imaginary = torch.view_as_real(final.transpose(1, 2)).flatten(2, 3).unbind(-1)
    return _mix(y, weights), real, imaginary


def _transition(weights: _Weights) -> tuple[Tensor, Tensor]:
    """Return dt A and the factors of the state in y, both ``[lanes, hidden, pairs]``."""
    a = torch.complex(-weights.log_real.exp(), weights.imaginary)
    decay = a * weights.log_step.exp().unsqueeze(-1)
    return decay, 2 * torch.complex(weights.c_real, weights.c_imaginary) * torch.expm1(decay) / a


def _mix(y: Tensor, weights: _Weights) -> Tensor:
    """Return GLU(W GELU(y) + b)."""
    mixed = affine(nn.functional.gelu(y), weights.output_weight, weights.output_bias)
    return nn.functional.glu(mixed, dim=-1)
