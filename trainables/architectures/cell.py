"""What every recurrent layer shares: gates side by side in one weight, a loop over time."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trainables import space
from trainables.architectures import initialization
from trainables.registry import NoOptions
from trainables.space import Configuration, Space

State = tuple[Tensor, ...]


class Impossible(ValueError):
    """This architecture does not exist at the asked depth or size; the message says why."""


class Cell(nn.Module):
    """One recurrent layer of ``lanes`` independent networks of the same shape.

    Parameters (the columns of a gate stand side by side, in the order of ``gates``):

    * ``input_weight [lanes, inputs, gates * hidden]``
    * ``recurrent_weight [lanes, hidden, gates * hidden]``
    * ``bias [lanes, gates * hidden]``, one a gate
    * ``initial_state [lanes, states * hidden]``, learned, zero at the start

    Weights act from the right: a pre-activation is ``x @ input_weight + h @ recurrent_weight
    + bias``. A subclass names its gates and states and writes one :meth:`step`.

    Args:
        lanes: independent networks trained side by side.
        inputs: features of the layer below.
        hidden: units.
        options: an instance of the class's ``Options``.
        **factory: torch's ``device`` and ``dtype``.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    Options: ClassVar[type] = NoOptions
    gates: ClassVar[tuple[str, ...]]
    states: ClassVar[tuple[str, ...]] = ("h",)
    square: ClassVar[space.Choice] = space.SQUARE
    minimal_depth: ClassVar[int] = 1

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__()
        self.lanes, self.inputs, self.hidden, self.options = lanes, inputs, hidden, options
        width = len(self.gates) * hidden
        self.input_weight = nn.Parameter(torch.empty(lanes, inputs, width, **factory))
        self.recurrent_weight = nn.Parameter(torch.empty(lanes, hidden, width, **factory))
        self.bias = nn.Parameter(torch.empty(lanes, width, **factory))
        self.initial_state = nn.Parameter(torch.empty(lanes, len(self.states) * hidden, **factory))
        # Run-time constants, not trained and not counted: what the forget-bias hyperparameter
        # adds to each gate, and which lanes use ReLU.
        self.register_buffer("gate_offset", torch.zeros(lanes, width, **factory))
        relu = torch.zeros(lanes, 1, 1, dtype=torch.bool, device=factory.get("device"))
        self.register_buffer("relu", relu)
        self.gate_offset: Tensor
        self.relu: Tensor
        self._nonlinearity: Callable[[Tensor], Tensor] = torch.tanh

    # -- hyperparameters ---------------------------------------------------------------------

    @classmethod
    def space(cls, options: Any) -> Space:
        """The hyperparameters of this cell's initialisation and constants (appendix A)."""
        dimensions: dict[str, space.Domain] = {
            "nonlinearity": space.NONLINEARITY,
            "bias_distribution": space.BIAS_DISTRIBUTION,
        }
        for gate in cls.gates:
            dimensions[f"{gate}_square"] = cls.square
            dimensions[f"{gate}_square_scale"] = space.SQUARE_SCALE
            dimensions[f"{gate}_input_scale"] = space.RECTANGULAR_SCALE
            dimensions[f"{gate}_bias_scale"] = space.BIAS_SCALE
        for name in cls.forget_gates():
            dimensions[name] = space.FORGET_BIAS
        return dimensions

    @classmethod
    def forget_gates(cls) -> dict[str, str]:
        """Forget-bias hyperparameter -> the gate whose pre-activation it is added to."""
        return {}

    def initialize(
        self, configurations: Sequence[Configuration], generators: Sequence[torch.Generator]
    ) -> None:
        """Draw every parameter, one configuration and one generator a lane."""
        for lane, (configuration, generator) in enumerate(
            zip(configurations, generators, strict=True)
        ):
            self._set_constants(lane, configuration)
            with torch.no_grad():
                self._draw(lane, configuration, generator)

    def _set_constants(self, lane: int, configuration: Configuration) -> None:
        self.relu[lane] = configuration.get("nonlinearity") == "relu"
        for name, gate in self.forget_gates().items():
            self.gate_offset[lane, self._columns(gate)] = float(configuration[name])

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        self.initial_state[lane].zero_()
        for gate in self.gates:
            columns = self._columns(gate)
            initialization.square(
                self.recurrent_weight[lane, :, columns],
                str(configuration[f"{gate}_square"]),
                float(configuration[f"{gate}_square_scale"]),
                generator,
            )
            initialization.rectangular(
                self.input_weight[lane, :, columns],
                float(configuration[f"{gate}_input_scale"]),
                generator,
            )
            initialization.bias(
                self.bias[lane, columns],
                str(configuration["bias_distribution"]),
                float(configuration[f"{gate}_bias_scale"]),
                generator,
            )

    def _columns(self, gate: str) -> slice:
        index = self.gates.index(gate)
        return slice(index * self.hidden, (index + 1) * self.hidden)

    # -- computation -------------------------------------------------------------------------

    def start(self, batch: int) -> State:
        """The learned initial state of each lane, ``[lanes, batch, hidden]`` a state."""
        parts = self.initial_state.unsqueeze(1).expand(-1, batch, -1)
        return torch.split(parts, self.hidden, dim=-1)

    def project(self, x: Tensor) -> Tensor:
        """Input products of all time steps at once, biases and gate offsets included.

        ``[lanes, time, batch, inputs]`` to ``[lanes, time, batch, gates * hidden]``.
        """
        lanes, time, batch, inputs = x.shape
        constant = (self.bias + self.gate_offset).unsqueeze(1)
        flat = torch.baddbmm(constant, x.reshape(lanes, time * batch, inputs), self.input_weight)
        return flat.view(lanes, time, batch, -1)

    def step(self, u: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step.

        Args:
            u: projected input ``[lanes, batch, gates * hidden]``.
            x: the input itself ``[lanes, batch, inputs]``.
            state: ``[lanes, batch, hidden]`` a state.

        Returns:
            What the layer above sees, ``[lanes, batch, hidden]``, and the new state.
        """
        raise NotImplementedError

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over ``x [lanes, time, batch, inputs]`` from ``state`` (or the learned start).

        Returns:
            Outputs ``[lanes, time, batch, hidden]`` and the state after the last step.
        """
        state = self.start(x.shape[2]) if state is None else state
        self._nonlinearity = self._choose_nonlinearity()
        outputs = []
        # unbind once: indexing u[:, t] in the loop would write a full-size zero gradient a step.
        for u, x_t in zip(self.project(x).unbind(1), x.unbind(1), strict=True):
            output, state = self.step(u, x_t, state)
            outputs.append(output)
        return torch.stack(outputs, dim=1), state

    def s(self, z: Tensor) -> Tensor:
        """The hyperparameter nonlinearity of each lane, tanh or ReLU."""
        return self._nonlinearity(z)

    def _choose_nonlinearity(self) -> Callable[[Tensor], Tensor]:
        if self.relu.all():
            return torch.relu
        if not self.relu.any():
            return torch.tanh
        return lambda z: torch.where(self.relu, torch.relu(z), torch.tanh(z))
