"""Define the gated networks UGRNN, GRU, LSTM (capacity paper, equations 2 to 14) and UR-LSTM.

Gates multiply the old state, so a gate of one carries it over. The forget bias b_fg is a
hyperparameter: a constant that is added inside the sigmoid and is not trained. All of these cells
may start as the recurrent cells of ``torch.nn`` do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from trainables.architectures import fused_lstm, initialization
from trainables.architectures.cell import Cell
from trainables.architectures.layer import StackOptions, State
from trainables.architectures.products import product
from trainables.registry import require_finite
from trainables.space import Configuration, Space


@dataclass(frozen=True)
class GatedOptions(StackOptions):
    """Holds the options of every gated cell: how it starts, and its nonlinearity.

    Attributes:
        initialization: ``searched`` over the capacity paper's ranges, or as the recurrent cells of
            ``torch`` start (:class:`GatedCell`), of which nothing is searched.
        nonlinearity: ``tanh``, ``relu``, or ``searched``: a hyperparameter of each configuration.
            None: ``tanh`` if the cell starts as those of torch, otherwise ``searched``.
    """

    initialization: Literal["searched", "torch"] = "searched"
    nonlinearity: Literal["searched", "tanh", "relu"] | None = None

    def __post_init__(self) -> None:
        if self.nonlinearity is None:
            of_torch = self.initialization == "torch"
            object.__setattr__(self, "nonlinearity", "tanh" if of_torch else "searched")


@dataclass(frozen=True)
class ForgetBias(GatedOptions):
    """Holds the options of a cell with a forget gate, among them its forget bias.

    Attributes:
        forget_bias: constant b_fg inside the sigmoid of the gate that keeps the old state. None: 0
            if the cell starts as those of torch, otherwise a hyperparameter of each configuration.

    Raises:
        Refused: ``forget_bias`` is not a finite number.
    """

    forget_bias: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.forget_bias is not None:
            require_finite(self, "forget_bias")
        elif self.initialization == "torch":
            object.__setattr__(self, "forget_bias", 0.0)


class GatedCell(Cell):
    """A gated cell may start as the recurrent cells of ``torch.nn`` do.

    There, all weights and biases are uniform in (-1/sqrt(n), 1/sqrt(n)), where n is the hidden
    width, and each gate has two biases. Here it has one, which starts at the sum of two such draws:
    its distribution is that of the bias that acts in torch. (In the candidate of ``torch.nn.GRU``
    the reset gate multiplies one of the two; here it acts before the product, on no bias.)
    """

    Options: ClassVar[type[StackOptions]] = ForgetBias
    options: GatedOptions

    @classmethod
    def searches_initialization(cls, options: Any) -> bool:
        return getattr(options, "initialization", "searched") == "searched"

    @classmethod
    def space(cls, options: Any) -> Space:
        searched = super().space(options)
        if cls.searches_initialization(options):
            return searched
        return {name: searched[name] for name in searched.keys() & {"nonlinearity"}}

    def _draw_gate(
        self, gate: str, lane: int, configuration: Configuration, generator: torch.Generator
    ) -> None:
        if self.searches_initialization(self.options):
            super()._draw_gate(gate, lane, configuration, generator)
            return
        columns = self._columns(gate)
        for weight in (self.recurrent_weight, self.input_weight):
            initialization.default_linear(weight[lane, :, columns], self.hidden, generator)
        initialization.default_recurrent_bias(self.bias[lane, columns], self.hidden, generator)


class UGRNN(GatedCell):
    """A UGRNN mixes old state and candidate by one update gate (capacity paper, equations 2 to 4).

    g = sigma(W_g [h, x] + b_g + b_fg); c = s(W_c [h, x] + b_c); h' = g h + (1 - g) c.
    """

    summary = "update-gate network: one coupled gate"
    source = "capacity paper, equations 2 to 4"
    gates = ("update", "candidate")
    scan = "ugrnn"

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        return {"forget_bias": "update"}


class GRU(GatedCell):
    """A GRU has a reset and an update gate (capacity paper, equations 5 to 8; Cho et al. 2014).

    r, u = sigma(.), u with b_fg; c = s(W_ch (r h) + W_cx x + b_c); h' = u h + (1 - u) c. The reset
    gate acts before the recurrent product, as in the paper and unlike ``torch.nn.GRU``.
    """

    summary = "gated recurrent unit, reset before the product"
    source = "capacity paper, equations 5 to 8; Cho et al. 2014"
    gates = ("reset", "update", "candidate")
    scan = "gru"

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        return {"forget_bias": "update"}


class LSTM(GatedCell):
    """An LSTM keeps a memory cell behind input, forget and output gates.

    i, f, o = sigma(.), f with b_fg; c' = f c + i s(.); h' = o tanh(c') (capacity paper, equations
    9 to 14; Hochreiter and Schmidhuber 1997). The outer nonlinearity is tanh whatever s is.
    """

    summary = "long short-term memory"
    source = "capacity paper, equations 9 to 14; Hochreiter and Schmidhuber 1997"
    gates = ("input", "forget", "candidate", "output")
    scan = "lstm"
    states = ("h", "c")

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        return {"forget_bias": "forget"}

    @classmethod
    def run_all(
        cls, layers: Sequence[Self], x: Tensor, states: Sequence[State] | None, first: int
    ) -> tuple[Tensor, list[State]] | None:
        all_tanh = all(layer.nonlinearity().is_tanh for layer in layers)
        if not (all_tanh and fused_lstm.pays(x)):
            return super().run_all(layers, x, states, first)
        if states is None:
            start = torch.stack([layer.initial_state for layer in layers])
            h, c = start.unsqueeze(2).expand(-1, -1, x.shape[2], -1).chunk(2, dim=-1)
        else:
            h, c = (torch.stack(parts) for parts in zip(*states, strict=True))
        weights = [
            (layer.input_weight, layer.recurrent_weight, layer.bias, layer.gate_offset)
            for layer in layers
        ]
        outputs, h, c = fused_lstm.lstm(x, h, c, weights)
        # Slice only if steps are cut off: the backward pass of any slice copies the gradient.
        return outputs[:, first:] if first else outputs, list(zip(h, c, strict=True))

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        result = self.run_all([self], x, [state], first)
        if result is None:
            return super().run(x, state, first)
        outputs, (final,) = result
        return outputs, final


class URLSTM(GatedCell):
    """A UR-LSTM is an LSTM with a refine gate and uniform gate initialisation.

    f, r, o = sigma(.); g = r (1 - (1 - f)^2) + (1 - r) f^2; c' = g c + (1 - g) s(.);
    h' = o tanh(c') (Gu et al. 2020, sections 3.1 to 3.3; fading-memory paper, Table 2). The bias of
    the forget gate starts at b = log(q / (1 - q)), with q uniform in (1/n, 1 - 1/n) and n the
    hidden width; the bias of the refine gate starts at -b, whatever the option ``initialization``.
    Both are trained and replace the forget-bias hyperparameter.
    """

    summary = "LSTM with uniform gate initialisation and a refine gate"
    source = "fading-memory paper, Table 2; Gu et al. 2020, sections 3.1 to 3.3"
    Options: ClassVar[type[StackOptions]] = GatedOptions
    gates = ("forget", "refine", "output", "candidate")
    states = ("h", "c")

    @classmethod
    def space(cls, options: Any) -> Space:
        unused = ("forget_bias_scale", "refine_bias_scale")
        return {
            name: domain for name, domain in super().space(options).items() if name not in unused
        }

    def _draw_gate(
        self, gate: str, lane: int, configuration: Configuration, generator: torch.Generator
    ) -> None:
        if gate not in ("forget", "refine"):
            super()._draw_gate(gate, lane, configuration, generator)
            return
        super()._draw_gate(gate, lane, {**configuration, f"{gate}_bias_scale": 0.0}, generator)
        if gate == "refine":
            forget = self.bias[lane, self._columns("forget")]
            self.bias[lane, self._columns("refine")] = -forget
            return
        low = min(1 / self.hidden, 0.5)
        q = torch.empty(self.hidden, dtype=torch.float64).uniform_(
            low, 1 - low, generator=generator
        )
        self.bias[lane, self._columns("forget")] = torch.log(q / (1 - q)).to(self.bias)

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        n = self.hidden
        z = product(h, self.recurrent_weight, u)
        f, r, o = torch.sigmoid(z[..., : 3 * n]).chunk(3, dim=-1)
        f2 = f * f
        # g = r (1 - (1 - f)^2) + (1 - r) f^2, where 1 - (1 - f)^2 = 2 f - f^2.
        g = torch.lerp(f2, 2 * f - f2, r)
        c = torch.lerp(self.s(z[..., 3 * n :]), c, g)
        h = o * torch.tanh(c)
        return h, (h, c)
