"""What the network knows of a recurrent layer, whatever computes inside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from trainables.space import Configuration, Space

State = tuple[Tensor, ...]
Elementwise = Literal["identity", "tanh", "relu"]


_COMPUTING = {"forward", "start", "run", "scaled", "step"}  # methods


class Impossible(ValueError):
    """This architecture does not exist at the asked depth or size; the message says why."""


@dataclass(frozen=True)
class StackOptions:
    """How layers are stacked: options that every architecture has.

    Attributes:
        act: what the output of each layer passes through on its way to the layer above or to the
            readout. The recurrence carries the value before it.
        skip: whether each layer but the first adds its input to its output (after ``act``).
    """

    act: Elementwise = "identity"
    skip: bool = False


class Layer(nn.Module):
    """One recurrent layer of ``lanes`` independent networks of the same shape.

    A subclass says what it is, creates its parameters ``[lanes, ...]``, draws them in
    :meth:`_draw` and runs over a sequence in :meth:`run`. Most are a :class:`.cell.Cell`.

    Args:
        lanes: independent networks trained side by side.
        inputs: features of the layer below.
        hidden: units.
        options: an instance of the class's ``Options``.
        **factory: torch's ``device`` and ``dtype``.

    Attributes:
        summary: one line for ``soundings list architectures``.
        source: paper and equation.
        Options: a frozen dataclass that extends :class:`StackOptions`.
        states: names of the parts of its state.
        minimal_depth: layers that a network of it has at least.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    Options: ClassVar[type[StackOptions]] = StackOptions
    states: ClassVar[tuple[str, ...]] = ("h",)
    minimal_depth: ClassVar[int] = 1

    def __init_subclass__(cls, **given: Any) -> None:
        """A subclass that computes otherwise is not run as the class that it inherits from."""
        super().__init_subclass__(**given)
        if vars(cls).keys() & _COMPUTING and "run_all" not in vars(cls):
            cls.run_all = vars(Layer)["run_all"]  # type: ignore[method-assign]

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__()
        self.lanes, self.inputs, self.hidden, self.options = lanes, inputs, hidden, options
        # Learned, zero at the start: the parts of the state side by side.
        self.initial_state = nn.Parameter(torch.empty(lanes, sum(self.state_widths), **factory))

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Numbers in each part of the state of one network."""
        return (self.hidden,) * len(self.states)

    @classmethod
    def width_multiple(cls, options: Any) -> int:
        """Hidden widths are multiples of this."""
        return 1

    @classmethod
    def readout_hidden_layers(cls, options: Any) -> int:
        """Hidden layers of the readout, ``hidden`` units each (see :class:`.network.Network`)."""
        return 0

    # -- hyperparameters ---------------------------------------------------------------------

    @classmethod
    def space(cls, options: Any) -> Space:
        """The hyperparameters of this layer's initialisation and constants."""
        return {}

    def initialize(
        self, configurations: Sequence[Configuration], generators: Sequence[torch.Generator]
    ) -> None:
        """Draw every parameter and constant, one configuration and one generator a lane."""
        with torch.no_grad():
            for lane, (configuration, generator) in enumerate(
                zip(configurations, generators, strict=True)
            ):
                self.initial_state[lane].zero_()
                self._draw(lane, configuration, generator)

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        raise NotImplementedError

    # -- computation -------------------------------------------------------------------------

    def start(self, batch: int) -> State:
        """The learned initial state of each lane, ``[lanes, batch, width]`` a part."""
        parts = self.initial_state.unsqueeze(1).expand(-1, batch, -1)
        return torch.split(parts, list(self.state_widths), dim=-1)

    def forward(
        self, x: Tensor, state: State | None = None, first: int = 0
    ) -> tuple[Tensor, State]:
        """Run over ``x [lanes, time, batch, inputs]`` from ``state`` (or the learned start).

        Returns:
            Outputs from time step ``first`` on, ``[lanes, time - first, batch, hidden]``, and the
            state after the last step, ``[lanes, batch, width]`` a part.
        """
        return self.run(x, self.start(x.shape[2]) if state is None else state, first)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        """See :meth:`forward`."""
        raise NotImplementedError

    @classmethod
    def run_all(
        cls, layers: Sequence[Self], x: Tensor, states: Sequence[State] | None, first: int
    ) -> tuple[Tensor, list[State]] | None:
        """Run over ``x`` through ``layers`` with nothing between them, if there is a faster way.

        Args:
            states: one a layer, or None for the learned ones.

        Returns:
            Outputs of the last layer from time step ``first`` on, and the final states; None: call
            each layer instead.
        """
        return None

    def s(self, z: Tensor) -> Tensor:
        """The layer's nonlinearity, which hidden layers of its readout have too."""
        raise NotImplementedError


def parameter_list(count: int, *shape: int, **factory: Any) -> nn.ParameterList:
    """``count`` uninitialised parameters of one shape."""
    return nn.ParameterList(nn.Parameter(torch.empty(*shape, **factory)) for _ in range(count))
