"""Define deep transition networks, which have several layers between two time steps.

There are those of Pascanu et al. 2014, whose transition sees the input, and that of chapter 10.5
("Deep Recurrent Networks"), whose three multilayer perceptrons stand side by side. Options set the
depths ``input_depth``, ``transition_depth`` and ``output_depth``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables import space
from trainables.architectures import initialization
from trainables.architectures.cell import Cell
from trainables.architectures.layer import StackOptions, State, parameter_list
from trainables.architectures.products import affine, product
from trainables.architectures.vanilla import SearchedNonlinearity
from trainables.registry import require_at_least
from trainables.space import Configuration, Space


@dataclass(frozen=True)
class DeepTransitionOptions(SearchedNonlinearity):
    """Holds the depths of a deep transition network: from the input, over time, to the output.

    Attributes:
        transition_depth: layers from the state of a time step to the next one.
        input_depth: layers from the input to the first layer of the transition; 1 is an affine map.
        output_depth: layers from the output of the top layer to the network's output (deep output,
            DO); 1 is an affine map.

    Raises:
        Refused: a depth is not between 1 and 100.
    """

    transition_depth: int = 2
    input_depth: int = 1
    output_depth: int = 1

    def __post_init__(self) -> None:
        depths = ("transition_depth", "input_depth", "output_depth")
        require_at_least(self, 1, *depths, most=100)


class DeepTransition(Cell):
    """A deep transition network passes the state through K layers at each time step (DT-RNN).

    h' = s(W_K s(W_{K-1} .. s(W_1 h + U x + b_1) ..) + b_K), K = ``transition_depth`` (Pascanu et
    al. 2014). The input enters the transition; :class:`DeepTransitionMLP` keeps the two apart.

    W_1, U and b_1 are the cell's ``recurrent_weight``, ``input_weight`` and ``bias``. W_2 to W_K
    are ``transition_weights.<k> [lanes, hidden, hidden]``, b_2 to b_K are ``transition_biases.<k>
    [lanes, hidden]``. With ``input_depth`` m above one, U x becomes U_m s(.. s(U_1 x + c_1) ..
    + c_{m-1}): U_1 is ``input_weight``, U_2 to U_m are ``input_layer_weights.<k> [lanes, hidden,
    hidden]``, and c_1 to c_{m-1} are ``input_layer_biases.<k> [lanes, hidden]``.
    """

    summary = "several layers between time steps"
    source = "Pascanu et al. 2014, DT-RNN; near to chapter 10.5, section 2"
    recurrent: ClassVar[tuple[str, ...] | None] = ("recurrent_weight", "transition_weights")
    Options: ClassVar[type[StackOptions]] = DeepTransitionOptions
    gates = ("h",)
    options: DeepTransitionOptions

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        for name, depth in (
            ("transition", options.transition_depth),
            ("input_layer", options.input_depth),
        ):
            weights = parameter_list(depth - 1, lanes, hidden, hidden, **factory)
            biases = parameter_list(depth - 1, lanes, hidden, **factory)
            self.register_module(f"{name}_weights", weights)
            self.register_module(f"{name}_biases", biases)
        self.transition_weights: nn.ParameterList
        self.transition_biases: nn.ParameterList
        self.input_layer_weights: nn.ParameterList
        self.input_layer_biases: nn.ParameterList

    @classmethod
    def readout_hidden_layers(cls, options: Any) -> int:
        return int(options.output_depth) - 1

    @classmethod
    def space(cls, options: Any) -> Space:
        dimensions = dict(super().space(options))
        for layers, count in (
            ("transition", options.transition_depth - 1),
            ("input_layer", options.input_depth - 1),
            ("readout_layer", cls.readout_hidden_layers(options)),
        ):
            if count > 0:
                dimensions |= space.square(layers, cls.square)
                dimensions[f"{layers}_bias_scale"] = space.BIAS_SCALE
        return dimensions

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        for name, weights, biases in (
            ("transition", self.transition_weights, self.transition_biases),
            ("input_layer", self.input_layer_weights, self.input_layer_biases),
        ):
            for weight, bias in zip(weights, biases, strict=True):
                initialization.square_of(name, weight[lane], configuration, generator)
                initialization.bias_of(name, bias[lane], configuration, generator)

    def project(self, x: Tensor) -> Tensor:
        weight: Tensor = self.input_weight
        for above, bias in zip(self.input_layer_weights, self.input_layer_biases, strict=True):
            x, weight = self.s(affine(x, weight, bias)), above
        return affine(x, weight, self.bias)

    def run(self, x: Tensor, state: State, first: int) -> tuple[Tensor, State]:
        (h,) = state
        upper = self._upper_layers()
        outputs = []
        for u in self.project(x).unbind(1):
            h = self._transition(u, h, upper)
            outputs.append(h)
        return torch.stack(outputs[first:], dim=1), (h,)

    def _upper_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Return weight and bias ``[lanes, 1, hidden]`` of each transition layer but the first."""
        biases = [bias.unsqueeze(1) for bias in self.transition_biases]
        return list(zip(self.transition_weights, biases, strict=True))

    def _transition(self, u: Tensor, h: Tensor, upper: list[tuple[Tensor, Tensor]]) -> Tensor:
        g = self.s(product(h, self.recurrent_weight, u))
        for weight, bias in upper:
            g = self.s(product(g, weight, bias))
        return g


class DeepTransitionSkip(DeepTransition):
    """A deep transition network with a residual connection computes h' = h + MLP_h(h, x).

    MLP_h is the transition of :class:`DeepTransition`, with the skip of chapter 10.5, section 3.
    """

    summary = "deep transition with a residual connection from state to state"
    source = "Pascanu et al. 2014, DT-RNN, with the skip of chapter 10.5, section 3"

    def _transition(self, u: Tensor, h: Tensor, upper: list[tuple[Tensor, Tensor]]) -> Tensor:
        return h + super()._transition(u, h, upper)


class DeepTransitionShortcut(DeepTransition):
    """A DT(S)-RNN feeds the old state into every layer of its transition (Pascanu et al. 2014).

    g_1 = s(W_1 h + U x + b_1), g_k = s(W_k g_{k-1} + S_k h + b_k), h' = g_K. S_2 to S_K are
    ``shortcut_weights.<k> [lanes, hidden, hidden]``.
    """

    summary = "deep transition in which every layer sees the old state, DT(S)"
    source = "depth paper; Pascanu et al. 2014, DT(S)-RNN"
    recurrent = ("recurrent_weight", "transition_weights", "shortcut_weights")

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        upper = options.transition_depth - 1
        self.shortcut_weights = parameter_list(upper, lanes, hidden, hidden, **factory)

    @classmethod
    def space(cls, options: Any) -> Space:
        dimensions = dict(super().space(options))
        if options.transition_depth > 1:
            dimensions |= space.square("shortcut", cls.square)
        return dimensions

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        for weight in self.shortcut_weights:
            initialization.square_of("shortcut", weight[lane], configuration, generator)

    def _upper_layers(self) -> list[tuple[Tensor, Tensor]]:
        pairs = zip(super()._upper_layers(), self.shortcut_weights, strict=True)
        return [(torch.cat([weight, shortcut], dim=1), bias) for (weight, bias), shortcut in pairs]

    def _transition(self, u: Tensor, h: Tensor, upper: list[tuple[Tensor, Tensor]]) -> Tensor:
        g = self.s(product(h, self.recurrent_weight, u))
        for weight, bias in upper:
            g = self.s(product(torch.cat([g, h], dim=-1), weight, bias))
        return g


@dataclass(frozen=True)
class DeepTransitionMLPOptions(DeepTransitionOptions):
    """Holds the depths of the chapter's three multilayer perceptrons, and their skip connections.

    A layer of a perceptron is an affine map followed by the nonlinearity.

    Attributes:
        transition_depth: layers of MLP_h, from the state of a time step to the next one.
        input_depth: layers of MLP_x, from the input to the state.
        output_depth: layers of MLP_o, from the state of the top layer to the affine readout.
        residual: ``identity`` adds the input of each perceptron to its output where their widths
            agree; ``none`` adds nothing.
    """

    input_depth: int = 2
    output_depth: int = 2
    residual: Literal["none", "identity"] = "none"


class DeepTransitionMLP(DeepTransition):
    """The chapter's deep transition network has three multilayer perceptrons side by side.

    h' = MLP_h(h) + MLP_x(x), and the output is an affine map of MLP_o(h') (chapter 10.5, section
    2). With ``residual: identity``, each perceptron is MLP(z) + z in place of MLP(z) where input
    and output have one width: h' = MLP_h(h) + h + MLP_x(x), and the output is an affine map of
    MLP_o(h') + h' (section 3). MLP_x gets its skip in upper layers, whose input is ``hidden`` wide,
    and in the first layer where the task's input is.

    The chapter has formulas for the skips alone. It leaves open how the two parts of h' come
    together: they are added, without another nonlinearity. It also leaves open how a perceptron
    ends: as in :class:`DeepTransition`, its last layer ends in the nonlinearity, too.

    MLP_h is s(W_K .. s(W_1 h + b_1) .. + b_K) with K = ``transition_depth``; W_1 and b_1 are
    ``recurrent_weight`` and ``bias``, the others ``transition_weights`` and ``transition_biases``.
    MLP_x is s(U_m .. s(U_1 x + c_1) .. + c_m) with m = ``input_depth``; U_1 is ``input_weight``,
    U_2 to U_m are ``input_layer_weights``, c_1 to c_{m-1} ``input_layer_biases``, and c_m is
    ``input_bias [lanes, hidden]``. The layers of MLP_o are those of the readout.
    """

    summary = "perceptrons of input and state side by side, one before the readout"
    source = "chapter 10.5, sections 2 and 3"
    Options: ClassVar[type[StackOptions]] = DeepTransitionMLPOptions
    options: DeepTransitionMLPOptions

    def __init__(self, lanes: int, inputs: int, hidden: int, options: Any, **factory: Any) -> None:
        super().__init__(lanes, inputs, hidden, options, **factory)
        self.input_bias = nn.Parameter(torch.empty(lanes, hidden, **factory))

    @classmethod
    def readout_hidden_layers(cls, options: Any) -> int:
        return int(options.output_depth)

    @classmethod
    def readout_residual(cls, options: Any) -> bool:
        return bool(options.residual == "identity")

    @classmethod
    def space(cls, options: Any) -> Space:
        return {**super().space(options), "input_layer_bias_scale": space.BIAS_SCALE}

    def _draw(self, lane: int, configuration: Configuration, generator: torch.Generator) -> None:
        super()._draw(lane, configuration, generator)
        initialization.bias_of("input_layer", self.input_bias[lane], configuration, generator)

    def project(self, x: Tensor) -> Tensor:
        z, weight = x, self.input_weight
        for above, bias in zip(self.input_layer_weights, self.input_layer_biases, strict=True):
            z, weight = self.s(affine(z, weight, bias)), above
        z = self.s(affine(z, weight, self.input_bias))
        return z + x if self._residual and self.inputs == self.hidden else z

    def _transition(self, u: Tensor, h: Tensor, upper: list[tuple[Tensor, Tensor]]) -> Tensor:
        changed = super()._transition(self.bias.unsqueeze(1), h, upper) + u
        return changed + h if self._residual else changed

    @property
    def _residual(self) -> bool:
        return self.options.residual == "identity"
