"""Define :class:`Layer`, the interface between a network and its recurrent layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

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


class Growth(NamedTuple):
    """A growth says by how much the state of a layer may be multiplied in a time step.

    Attributes:
        factor: largest factor; at most 1 for a state that does not grow by itself.
        of: the options that the factor comes from, for messages, such as "alpha + epsilon".
    """

    factor: float
    of: str


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
        recurrent: names of the trained parameters, or lists of them, that the state passes through
            from step to step: curvature is taken over them. None: all but the initial state.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    Options: ClassVar[type[StackOptions]] = StackOptions
    states: ClassVar[tuple[str, ...]] = ("h",)
    minimal_depth: ClassVar[int] = 1
    recurrent: ClassVar[tuple[str, ...] | None] = None

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

    @classmethod
    def readout_residual(cls, options: Any) -> bool:
        """Return whether the readout adds the input of its hidden layers to their output.

        Args:
            options: an instance of the class's ``Options``.
        """
        return False

    @classmethod
    def growth(cls, options: Any) -> Growth:
        """Return by how much the state is multiplied in a time step whatever the weights are.

        Over T steps a state may grow by that factor to the power of T. The factor is 1 where the
        state is bounded, where it grows by a sum, and where growth depends on the weights alone.

        Args:
            options: an instance of the class's ``Options``.
        """
        return Growth(1.0, "")

    @classmethod
    def stated(cls, options: Any) -> dict[str, Any]:
        """Return values of options that a new sweep states where its file gives none.

        They are part of the cell's name and of the record, beside the options that the file gives.
        So a better value can take the place of a default, and sweeps that were recorded without
        the option still mean that default.

        Args:
            options: an instance of the class's ``Options``, with the values that the file gives.
        """
        return {}

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

    @classmethod
    def searches_initialization(cls, options: Any) -> bool:
        """Return whether initial values are hyperparameters; those of the readout are then, too.

        Args:
            options: an instance of the class's ``Options``.
        """
        return bool(cls.space(options))

    def initialize(
        self,
        configurations: Sequence[Configuration],
        generators: Sequence[torch.Generator],
        constants: Sequence[torch.Generator] | None = None,
    ) -> None:
        """Draw every parameter and constant of all lanes; learned initial states become zero.

        Args:
            configurations: configuration of each lane.
            generators: random generator of each lane.
            constants: random generator of each lane for what is not trained; by default that of
                the parameters.
        """
        with torch.no_grad():
            for lane, (configuration, generator, constant) in enumerate(
                zip(configurations, generators, constants or generators, strict=True)
            ):
                self.initial_state[lane].zero_()
                self._draw(lane, configuration, generator)
                self._draw_constants(lane, configuration, constant)

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        """Draw the parameters of a lane."""
        raise NotImplementedError

    def _draw_constants(
        self, lane: int, configuration: Configuration, generator: torch.Generator
    ) -> None:
        """Draw what is random in a lane and is not trained; by default nothing."""

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

    # -- diagnostics -------------------------------------------------------------------------

    def output_by_state(self, x: Tensor, output: Tensor, state: State) -> Tensor:
        """Return the output of one time step as a function of the state after it, if it is one.

        The gradient by a state then includes what the output of the same step passes on. A layer
        overrides this method if its output is neither the first part of its state nor independent
        of the state after the step.

        Args:
            x: input of the time step, ``[lanes, 1, batch, inputs]``.
            output: output of the time step, ``[lanes, 1, batch, hidden]``.
            state: parts of the state after the time step, each ``[lanes, batch, width]``.

        Returns:
            The same numbers as ``output``.
        """
        first = state[0].unsqueeze(1)
        return first if torch.equal(first, output) else output

    def recurrent_parameters(self) -> list[nn.Parameter]:
        """Return the trained parameters that ``recurrent`` names."""
        if self.recurrent is None:
            return [p for p in self.parameters() if p is not self.initial_state]
        named = [getattr(self, name) for name in self.recurrent]
        return [p for one in named for p in ([one] if isinstance(one, nn.Parameter) else one)]

    def exponents(self) -> Tensor | None:
        """Return the layer's Lyapunov exponents if they are known in closed form.

        Returns:
            Logarithms of the moduli of the eigenvalues of the state's constant transition,
            ``[lanes, width of the whole state]``, in any order; None: they are to be measured.
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
