"""Define :class:`Cell`, the base of layers that hold all gates in one weight and step over time."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from trainables import space
from trainables.architectures import initialization, scans
from trainables.architectures.derivatives import second_wanted
from trainables.architectures.layer import Elementwise, Layer, State
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.products import affine
from trainables.space import Configuration, Space


class _Known(NamedTuple):
    """Caches values that are derived from a cell's buffers, with the buffers' version."""

    relu: Tensor
    relu_version: int
    gate_offset: Tensor
    nonlinearity: Nonlinearity
    column_factors: Tensor


class Cell(Layer):
    """A cell is a recurrent layer whose pre-activations are affine in its input and its state.

    The parameters hold the columns of all gates side by side, in the order of ``gates``:

    * ``input_weight [lanes, inputs, gates * hidden]``
    * ``recurrent_weight [lanes, hidden, gates * hidden]``
    * ``bias [lanes, gates * hidden]``, one bias vector for each gate (cells of torch have two)
    * ``initial_state [lanes, states * hidden]``, learned and initialised to zero

    Weights act from the right: a pre-activation is ``x @ input_weight + h @ recurrent_weight
    + bias``. A subclass names its gates and states, and either names its scan or implements
    :meth:`step`.

    Attributes:
        gates: names of the gates, which are also prefixes of the names of hyperparameters.
        scan: name of the function of :mod:`.scans` that runs exactly this cell over time; None:
            :meth:`run` repeats :meth:`step`, unless a subclass overrides it.
        square: kinds of initialisation that the recurrent matrices may have.
    """

    gates: ClassVar[tuple[str, ...]]
    scan: ClassVar[str | None] = None
    square: ClassVar[space.Choice] = space.SQUARE
    recurrent: ClassVar[tuple[str, ...] | None] = ("recurrent_weight",)

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Reset ``scan`` if the subclass has its own step, which the inherited scan ignores."""
        super().__init_subclass__(**keywords)
        if "step" in vars(cls) and "scan" not in vars(cls):
            cls.scan = None

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        width = len(self.gates) * hidden
        self.input_weight = nn.Parameter(torch.empty(lanes, inputs, width, **factory))
        self.recurrent_weight = nn.Parameter(torch.empty(lanes, hidden, width, **factory))
        self.bias = nn.Parameter(torch.empty(lanes, width, **factory))
        # Constants that are neither trained nor counted as parameters: the forget bias that is
        # added to each gate's pre-activation, and the mask of lanes that use ReLU.
        self.register_buffer("gate_offset", torch.zeros(lanes, width, **factory))
        relu = torch.zeros(lanes, 1, 1, dtype=torch.bool, device=factory.get("device"))
        self.register_buffer("relu", relu)
        self.gate_offset: Tensor
        self.relu: Tensor
        self._known: _Known | None = None

    # -- hyperparameters ---------------------------------------------------------------------

    @classmethod
    def nonlinearity_of(cls, options: Any) -> Elementwise | Literal["searched"]:
        """Return the nonlinearity s of a cell with these options.

        Returns:
            The kind of s, or ``searched``: tanh or ReLU, a hyperparameter of each lane.
        """
        kind: Elementwise | Literal["searched"] = getattr(options, "nonlinearity", "tanh")
        return kind

    @classmethod
    def space(cls, options: Any) -> Space:
        """Return the search space of this cell's initialisation, nonlinearity and forget biases.

        Ranges are those of appendix A of the capacity paper.
        """
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
        """Map each forget-bias hyperparameter to the gate whose pre-activation it is added to.

        An option of the same name fixes the hyperparameter, which is then not searched.

        Returns:
            Names of gates by name of hyperparameter; empty for a cell without forget biases.
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
        """Project the inputs of all time steps at once; add biases and gate offsets.

        Args:
            x: inputs ``[lanes, time, batch, inputs]``.

        Returns:
            Pre-activations without the recurrent product, ``[lanes, time, batch, gates * hidden]``.
        """
        return affine(x, self.input_weight, self.bias + self.gate_offset)

    def scaled(self, x: Tensor) -> tuple[scans.Inputs, Tensor]:
        """Return inputs and recurrent weight in the form that functions of :mod:`.scans` take.

        The columns that lead into the nonlinearity are multiplied by its ``scale``.

        Args:
            x: inputs ``[lanes, time, batch, inputs]``.

        Returns:
            The inputs with their weight and bias, and the recurrent weight
            ``[lanes, hidden, gates * hidden]``.
        """
        if isinstance(scale := self.nonlinearity().scale, float) and scale == 1:
            return scans.Inputs(
                x, self.input_weight, self.bias, self.gate_offset
            ), self.recurrent_weight
        factors = self.column_factors()
        bias = (self.bias + self.gate_offset) * factors.squeeze(1)
        return scans.Inputs(x, self.input_weight * factors, bias), self.recurrent_weight * factors

    def column_factors(self) -> Tensor:
        """Return the factor by which :meth:`scaled` multiplies each column.

        Returns:
            Factors ``[lanes, 1, gates * hidden]``.
        """
        return self._constants().column_factors

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Compute one time step.

        Args:
            u: projected input ``[lanes, batch, gates * hidden]`` (see :meth:`project`).
            x: the input itself ``[lanes, batch, inputs]``.
            state: parts of the state before the step, each ``[lanes, batch, hidden]``.

        Returns:
            The output to the layer above, ``[lanes, batch, hidden]``, and the state after the step.

        Raises:
            NotImplementedError: the class does not implement a step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        """Run over time by the cell's scan, or else by repeating :meth:`step`.

        Arguments and results are those of :meth:`.Layer.forward`.
        """
        if self.scan is not None:
            inputs, weight = self.scaled(x)
            scanned = getattr(scans, self.scan)(
                inputs, *state, weight, self.nonlinearity(), first=first
            )
            output, *other_states = scanned if isinstance(scanned, tuple) else (scanned,)
            return output, (output[:, -1], *other_states)
        outputs = []
        # Unbind once: if each step indexed u[:, t], each would write a full-size zero gradient.
        for u, x_t in zip(self.project(x).unbind(1), x.unbind(1), strict=True):
            output, state = self.step(u, x_t, state)
            outputs.append(output)
        return torch.stack(outputs[first:], dim=1), state

    @classmethod
    def run_all(
        cls, layers: Sequence[Self], x: Tensor, states: Sequence[State] | None, first: int
    ) -> tuple[Tensor, list[State]] | None:
        """Run over time through layers whose scan is compiled, in one call.

        Arguments and results are those of :meth:`.Layer.run_all`.
        """
        if cls.scan is None or second_wanted():
            return None
        if any(scans.at_once(x, layer.input_weight) for layer in layers):
            return None
        phis = [layer.nonlinearity() for layer in layers]
        if not phis[0].is_compiled:
            return None
        from trainables.architectures.scans import compiled

        starts = [(layer.initial_state,) for layer in layers] if states is None else states
        compiled_layers = [
            compiled.Layer(
                layer.input_weight,
                layer.bias,
                layer.gate_offset,
                layer.recurrent_weight,
                start,
                phi.codes(layer.lanes),
            )
            for layer, start, phi in zip(layers, starts, phis, strict=True)
        ]
        outputs, *finals = compiled.run(compiled.RECURRENCES[cls.scan], x, compiled_layers, first)
        return outputs, [tuple(final.unbind(0)) for final in finals]

    def s(self, z: Tensor) -> Tensor:
        """Apply the nonlinearity of each lane to pre-activations ``z [lanes, ...]``."""
        return self.nonlinearity()(z)

    def nonlinearity(self) -> Nonlinearity:
        """Return the cell's nonlinearity, which differs between lanes if it is a hyperparameter."""
        return self._constants().nonlinearity

    def _constants(self) -> "_Known":
        """Return the nonlinearity and the column factors, computed anew after buffers change.

        They are cached because reading the ReLU mask at every step makes the host wait for the GPU.
        """
        known, version = self._known, self.relu._version
        if (
            known is None
            or known.relu is not self.relu
            or known.relu_version != version
            or known.gate_offset is not self.gate_offset  # moved or cast by Module.to
        ):
            kind = self.nonlinearity_of(self.options)
            phi = Nonlinearity(self.relu if kind == "searched" else kind, like=self.bias)
            factors = torch.ones_like(self.gate_offset).unsqueeze(1)
            candidate = "candidate" if "candidate" in self.gates else self.gates[-1]
            factors[..., self._columns(candidate)] = phi.scale
            known = self._known = _Known(self.relu, version, self.gate_offset, phi, factors)
        return known
