"""Layers that are gates side by side in one weight, and a step repeated over time."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from trainables import space
from trainables.architectures import initialization, scans
from trainables.architectures.layer import Elementwise, Layer, State
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.products import affine
from trainables.space import Configuration, Space


class _Known(NamedTuple):
    """What follows from the buffers, and from which state of them it was made."""

    relu: Tensor
    relu_version: int
    gate_offset: Tensor
    nonlinearity: Nonlinearity
    column_factors: Tensor


class Cell(Layer):
    """A recurrent layer whose pre-activations are affine in its input and its state.

    Parameters (the columns of a gate stand side by side, in the order of ``gates``):

    * ``input_weight [lanes, inputs, gates * hidden]``
    * ``recurrent_weight [lanes, hidden, gates * hidden]``
    * ``bias [lanes, gates * hidden]``, one a gate
    * ``initial_state [lanes, states * hidden]``, learned, zero at the start

    Weights act from the right: a pre-activation is ``x @ input_weight + h @ recurrent_weight
    + bias``. A subclass names its gates and states and writes one :meth:`step`, or names its scan.

    Attributes:
        gates: names of the gates, and of their hyperparameters.
        scan: the function of :mod:`.scans` that it is, and nothing else.
        square: how the recurrent matrices may start.
    """

    gates: ClassVar[tuple[str, ...]]
    scan: ClassVar[str | None] = None
    square: ClassVar[space.Choice] = space.SQUARE

    def __init_subclass__(cls, **given: Any) -> None:
        """A subclass with a step of its own is not the scan that it inherits."""
        super().__init_subclass__(**given)
        if "step" in vars(cls) and "scan" not in vars(cls):
            cls.scan = None

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        width = len(self.gates) * hidden
        self.input_weight = nn.Parameter(torch.empty(lanes, inputs, width, **factory))
        self.recurrent_weight = nn.Parameter(torch.empty(lanes, hidden, width, **factory))
        self.bias = nn.Parameter(torch.empty(lanes, width, **factory))
        # Run-time constants, not trained and not counted: what the forget-bias hyperparameter
        # adds to each gate, and which lanes use ReLU.
        self.register_buffer("gate_offset", torch.zeros(lanes, width, **factory))
        relu = torch.zeros(lanes, 1, 1, dtype=torch.bool, device=factory.get("device"))
        self.register_buffer("relu", relu)
        self.gate_offset: Tensor
        self.relu: Tensor
        self._known: _Known | None = None

    # -- hyperparameters ---------------------------------------------------------------------

    @classmethod
    def nonlinearity_of(cls, options: Any) -> Elementwise | Literal["searched"]:
        """What s is; ``searched``: a hyperparameter of each lane, tanh or ReLU."""
        kind: Elementwise | Literal["searched"] = getattr(options, "nonlinearity", "tanh")
        return kind

    @classmethod
    def space(cls, options: Any) -> Space:
        """The hyperparameters of appendix A of the capacity paper that this cell has."""
        dimensions: dict[str, space.Domain] = {"bias_distribution": space.BIAS_DISTRIBUTION}
        if cls.nonlinearity_of(options) == "searched":
            dimensions["nonlinearity"] = space.NONLINEARITY
        for gate in cls.gates:
            dimensions |= space.square(gate, cls.square)
            dimensions[f"{gate}_input_scale"] = space.RECTANGULAR_SCALE
            dimensions[f"{gate}_bias_scale"] = space.BIAS_SCALE
        for name in cls.forget_gates():
            if getattr(options, name, None) is None:
                dimensions[name] = space.FORGET_BIAS
        return dimensions

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        """Forget-bias hyperparameter -> the gate whose pre-activation it is added to.

        An option of the same name fixes it.
        """
        return {}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        self._set_constants(lane, configuration)
        for gate in self.gates:
            self._draw_gate(gate, lane, configuration, generator)

    def _set_constants(self, lane: int, configuration: Configuration) -> None:
        self.relu[lane] = configuration.get("nonlinearity") == "relu"
        for name, gate in self.forget_gates().items():
            fixed = getattr(self.options, name, None)
            value = configuration[name] if fixed is None else fixed
            self.gate_offset[lane, self._columns(gate)] = float(value)

    def _draw_gate(
        self, gate: str, lane: int, configuration: Configuration, generator: torch.Generator
    ) -> None:
        columns = self._columns(gate)
        weights = self.recurrent_weight[lane, :, columns], self.input_weight[lane, :, columns]
        initialization.square_of(gate, weights[0], configuration, generator)
        initialization.rectangular_of(f"{gate}_input", weights[1], configuration, generator)
        initialization.bias_of(gate, self.bias[lane, columns], configuration, generator)

    def _columns(self, gate: str) -> slice:
        index = self.gates.index(gate)
        return slice(index * self.hidden, (index + 1) * self.hidden)

    # -- computation -------------------------------------------------------------------------

    def project(self, x: Tensor) -> Tensor:
        """Input products of all time steps at once, biases and gate offsets included.

        ``[lanes, time, batch, inputs]`` to ``[lanes, time, batch, gates * hidden]``.
        """
        return affine(x, self.input_weight, self.bias + self.gate_offset)

    def scaled(self, x: Tensor) -> tuple[scans.Inputs, Tensor]:
        """Inputs and recurrent weights as :mod:`.scans` want them.

        The columns of the gate with the nonlinearity come times its scale.
        """
        if isinstance(scale := self.nonlinearity().scale, float) and scale == 1:
            return scans.Inputs(
                x, self.input_weight, self.bias, self.gate_offset
            ), self.recurrent_weight
        factors = self.column_factors()
        bias = (self.bias + self.gate_offset) * factors.squeeze(1)
        return scans.Inputs(x, self.input_weight * factors, bias), self.recurrent_weight * factors

    def column_factors(self) -> Tensor:
        """What :meth:`scaled` multiplies each column by, ``[lanes or 1, 1, gates * hidden]``."""
        return self._constants().column_factors

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step.

        Args:
            u: projected input ``[lanes, batch, gates * hidden]``.
            x: the input itself ``[lanes, batch, inputs]``.
            state: ``[lanes, batch, hidden]`` a part.

        Returns:
            What the layer above sees, ``[lanes, batch, hidden]``, and the new state.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        """Repeat :meth:`step`, or call the scan."""
        if self.scan is not None:
            inputs, weight = self.scaled(x)
            scanned = getattr(scans, self.scan)(
                inputs, *state, weight, self.nonlinearity(), first=first
            )
            output, *others = scanned if isinstance(scanned, tuple) else (scanned,)
            return output, (output[:, -1], *others)
        outputs = []
        # unbind once: indexing u[:, t] in the loop would write a full-size zero gradient a step.
        for u, x_t in zip(self.project(x).unbind(1), x.unbind(1), strict=True):
            output, state = self.step(u, x_t, state)
            outputs.append(output)
        return torch.stack(outputs[first:], dim=1), state

    @classmethod
    def run_all(
        cls, layers: Sequence[Self], x: Tensor, states: Sequence[State] | None, first: int
    ) -> tuple[Tensor, list[State]] | None:
        """As :meth:`.Layer.run_all`: one call for layers whose scan is compiled."""
        if cls.scan is None or any(scans.at_once(x, layer.input_weight) for layer in layers):
            return None
        phis = [layer.nonlinearity() for layer in layers]
        if not phis[0].is_compiled:
            return None
        from trainables.architectures.scans import compiled

        starts = [(layer.initial_state,) for layer in layers] if states is None else states
        given = [
            compiled.Layer(
                a.input_weight,
                a.bias,
                a.gate_offset,
                a.recurrent_weight,
                start,
                phi.codes(a.lanes),
            )
            for a, start, phi in zip(layers, starts, phis, strict=True)
        ]
        outputs, *finals = compiled.run(compiled.RECURRENCES[cls.scan], x, given, first)
        return outputs, [tuple(final.unbind(0)) for final in finals]

    def s(self, z: Tensor) -> Tensor:
        """The nonlinearity of each lane; ``z [lanes, ...]``."""
        return self.nonlinearity()(z)

    def nonlinearity(self) -> Nonlinearity:
        """That of the options, or of each lane where it is a hyperparameter."""
        return self._constants().nonlinearity

    def _constants(self) -> "_Known":
        """The nonlinearity and the column factors, made anew when what they follow from changed.

        To ask at every step which lanes are ReLU would let a GPU wait for the answer.
        """
        known, version = self._known, self.relu._version
        if (
            known is None
            or known.relu is not self.relu
            or known.relu_version != version
            or known.gate_offset is not self.gate_offset  # of another device or number format
        ):
            kind = self.nonlinearity_of(self.options)
            phi = Nonlinearity(self.relu if kind == "searched" else kind, like=self.bias)
            factors = torch.ones_like(self.gate_offset).unsqueeze(1)
            candidate = "candidate" if "candidate" in self.gates else self.gates[-1]
            factors[..., self._columns(candidate)] = phi.scale
            known = self._known = _Known(self.relu, version, self.gate_offset, phi, factors)
        return known
