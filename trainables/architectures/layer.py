"""Define :class:`Layer`, the interface between a network and its recurrent layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from trainables.space import Configuration, Space

State = tuple[Tensor, ...]
Elementwise = Literal["identity", "tanh", "relu"]


# Overriding one of these methods makes an inherited ``run_all`` wrong, which bypasses it.
_COMPUTING = {"forward", "start", "run", "scaled", "step"}


class Impossible(ValueError):
    """Signals that an architecture does not exist at the requested depth or width.

    The message says why.
    """


@dataclass(frozen=True)
class StackOptions:
    """Holds the options that every architecture has: how layers are stacked.

    Attributes:
        act: nonlinearity between layers. The output of each layer passes through it on its way to
            the layer above or to the readout. The recurrence carries the value before it.
        skip: whether each layer but the first adds its input to its output (after ``act``).
    """

    act: Elementwise = "identity"
    skip: bool = False


class Layer(nn.Module):
    """A layer runs one recurrent layer of ``lanes`` independent networks of the same shape.

    A subclass describes itself in class attributes, creates its parameters ``[lanes, ...]``, draws
    them in :meth:`_draw` and runs over a sequence in :meth:`run`. Most subclasses extend
    :class:`.cell.Cell`.

    Args:
        lanes: number of independent networks trained side by side.
        inputs: number of features of the layer's input.
        hidden: hidden width, the number of units.
        options: an instance of the class's ``Options``.
        **factory: ``device`` and ``dtype`` of the parameters, as in torch.

    Attributes:
        summary: description in one line for ``soundings list architectures``.
        source: paper and equation that define the architecture.
        Options: a frozen dataclass that extends :class:`StackOptions`.
        states: names of the parts of the recurrent state.
        minimal_depth: smallest number of layers that a network of this architecture may have.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    Options: ClassVar[type[StackOptions]] = StackOptions
    states: ClassVar[tuple[str, ...]] = ("h",)
    minimal_depth: ClassVar[int] = 1

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Reset ``run_all`` if the subclass overrides a method that the inherited one bypasses."""
        super().__init_subclass__(**keywords)
        if vars(cls).keys() & _COMPUTING and "run_all" not in vars(cls):
            cls.run_all = vars(Layer)["run_all"]  # type: ignore[method-assign]

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__()
        self.lanes, self.inputs, self.hidden, self.options = lanes, inputs, hidden, options
        # The learned initial state, initialised to zero: the parts of the state side by side.
        self.initial_state = nn.Parameter(torch.empty(lanes, sum(self.state_widths), **factory))

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Return the width of each part of the state: its numbers for one lane and one sample."""
        return (self.hidden,) * len(self.states)

    @classmethod
    def width_multiple(cls, options: Any) -> int:
        """Return the number of which every hidden width must be a multiple.

        Args:
            options: an instance of the class's ``Options``.
        """
        return 1

    @classmethod
    def readout_hidden_layers(cls, options: Any) -> int:
        """Return the number of hidden layers of the readout (see :class:`.network.Network`).

        Each of them is ``hidden`` units wide.

        Args:
            options: an instance of the class's ``Options``.
        """
        return 0

    # -- hyperparameters ---------------------------------------------------------------------

    @classmethod
    def space(cls, options: Any) -> Space:
        """Return the search space of this layer's initialisation and constants.

        Args:
            options: an instance of the class's ``Options``.

        Returns:
            The domain of each hyperparameter by name.
        """
        return {}

    def initialize(
        self, configurations: Sequence[Configuration], generators: Sequence[torch.Generator]
    ) -> None:
        """Draw every parameter and constant of all lanes; learned initial states become zero.

        Args:
            configurations: configuration of each lane.
            generators: random generator of each lane.
        """
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
        """Return the learned initial state of each lane, repeated for ``batch`` samples.

        Returns:
            Parts of the state, each ``[lanes, batch, width]``.
        """
        parts = self.initial_state.unsqueeze(1).expand(-1, batch, -1)
        return torch.split(parts, list(self.state_widths), dim=-1)

    def forward(
        self, x: Tensor, state: State | None = None, first: int = 0
    ) -> tuple[Tensor, State]:
        """Run the layer over a sequence.

        Args:
            x: inputs ``[lanes, time, batch, inputs]``.
            state: parts of the state before the first step, each ``[lanes, batch, width]``; None:
                the learned initial state.
            first: first time step whose output is returned.

        Returns:
            Outputs from time step ``first`` on, ``[lanes, time - first, batch, hidden]``, and the
            parts of the state after the last step, each ``[lanes, batch, width]``.
        """
        return self.run(x, self.start(x.shape[2]) if state is None else state, first)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        """Run the layer over a sequence from a given state; see :meth:`forward`.

        Raises:
            NotImplementedError: the class does not implement it.
        """
        raise NotImplementedError

    @classmethod
    def run_all(
        cls, layers: Sequence[Self], x: Tensor, states: Sequence[State] | None, first: int
    ) -> tuple[Tensor, list[State]] | None:
        """Run over a sequence through all ``layers`` in one call, if that is faster.

        The output of a layer is the input of the next one: neither ``act`` nor ``skip`` applies.

        Args:
            layers: layers of this class, the lowest one first.
            x: inputs of the first layer, ``[lanes, time, batch, inputs]``.
            states: state of each layer before the first step, or None for the learned ones.
            first: first time step whose output is returned.

        Returns:
            Outputs of the last layer, ``[lanes, time - first, batch, hidden]``, and the final
            state of each layer; None: the caller has to call each layer instead.
        """
        return None

    def s(self, z: Tensor) -> Tensor:
        """Apply the layer's nonlinearity; hidden layers of the readout use that of the top layer.

        Args:
            z: pre-activations ``[lanes, ...]``.

        Raises:
            NotImplementedError: the class has no nonlinearity.
        """
        raise NotImplementedError


def parameter_list(count: int, *shape: int, **factory: Any) -> nn.ParameterList:
    """Create a list of ``count`` uninitialised parameters of one shape.

    Args:
        count: number of parameters.
        *shape: shape of each parameter.
        **factory: ``device`` and ``dtype`` of the parameters, as in torch.
    """
    return nn.ParameterList(nn.Parameter(torch.empty(*shape, **factory)) for _ in range(count))
