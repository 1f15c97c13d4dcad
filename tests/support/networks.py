"""Builds small networks of every architecture, for tests that hold for all of them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn

from trainables.architectures import ARCHITECTURES, Network, build, search_space
from trainables.architectures.cell import Cell
from trainables.architectures.layer import StackOptions
from trainables.space import Choice, Configuration, Value, draw

M = TypeVar("M", bound=nn.Module)

INPUTS, OUTPUTS, HIDDEN = 3, 2, 4  # an even width: some residuals rotate pairs of units
DEPTHS = (1, 2, 4)

# Options of each architecture at depths 1, 2 and 4. The others have none. These make the network
# small, or its state lively.
PLAIN: dict[str, dict[str, Any]] = {
    "cprnn": {"rank": 3},
    "deep_transition_mlp": {"nonlinearity": "tanh"},  # so many layers of ReLU die at random
    "wcrnn": {"residual": "scaled", "alpha": 0.95, "gamma": 0.2},
    "s4d": {"state_size": 8},
}
# Architectures with further options, at depth 2.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {"nonlinearity": "relu"}),
    ("rnn", {"act": "tanh", "skip": True}),
    ("irnn", {"skip": True}),
    ("linear_rnn", {"act": "relu"}),
    ("ugrnn", {"nonlinearity": "tanh", "forget_bias": 1.5}),
    ("gru", {"forget_bias": -0.5}),
    ("gru", {"act": "relu", "skip": True}),
    ("lstm", {"nonlinearity": "relu", "forget_bias": 2.0}),
    ("lstm", {"skip": True}),
    ("ur_lstm", {"nonlinearity": "relu"}),
    *[
        (name, {"initialization": "torch"} | options)
        for name, options in (
            ("ugrnn", {}),
            ("gru", {"nonlinearity": "searched"}),
            ("lstm", {"forget_bias": 1.0}),
            ("ur_lstm", {"skip": True}),
        )
    ],
    ("intersection", {"s1": "tanh", "s2": "identity"}),
    ("intersection", {"s1": "identity", "s2": "relu", "skip": True}),
    ("second_order", {"gate": "identity"}),
    ("second_order", {"gate": "relu"}),
    ("second_order", {"gate": "identity", "act": "tanh", "skip": True}),
    ("cprnn", {"gate": "identity", "rank": 1}),
    ("cprnn", {"gate": "relu", "rank": 9}),
    ("mirnn", {"gate": "identity"}),
    ("mirnn", {"gate": "relu", "act": "tanh"}),
    *[
        (f"deep_transition{kind}", options)
        for kind in ("", "_skip", "_shortcut")
        for options in (
            {"transition_depth": 1},
            {"transition_depth": 3, "nonlinearity": "tanh", "skip": True},
            {"input_depth": 2},
            {"output_depth": 3},
        )
    ],
    ("deep_transition", {"transition_depth": 3, "input_depth": 3, "output_depth": 2, "skip": True}),
    ("deep_transition_mlp", {"residual": "identity"}),
    ("deep_transition_mlp", {"transition_depth": 1, "input_depth": 1, "output_depth": 1}),
    (
        "deep_transition_mlp",
        {
            "transition_depth": 3,
            "output_depth": 3,
            "residual": "identity",
            "nonlinearity": "tanh",
            "act": "tanh",
            "skip": True,
        },
    ),
    *[
        ("wcrnn", {"residual": residual, "alpha": 0.95, "gamma": 0.2})
        for residual in ("heterogeneous", "rotational", "orthogonal", "informed")
    ],
    *[
        ("wcrnn", {"residual": residual, "form": form, "gamma": 0.2})
        for form, residual in (
            ("A", "heterogeneous"),
            ("A", "rotational"),
            ("B", "scaled"),
            ("B", "orthogonal"),
            ("B", "informed"),
        )
    ],
    ("wcrnn", {"residual": "scaled", "nonlinearity": "identity", "gamma": (0.1, 0.3)}),
    ("wcrnn", {"residual": "informed", "alpha_per": "unit", "omega": (0.1, 1.5), "gamma": 0.2}),
    ("wcrnn", {"residual": "rotational", "form": "B", "nonlinearity": "identity", "gamma": 0.2}),
    ("wcrnn", {"residual": "heterogeneous", "gamma": (0.1, 0.3), "act": "relu", "skip": True}),
    ("elman", {"residual": "identity"}),
    ("elman", {"residual": "identity", "act": "relu", "skip": True}),
    ("s4d", {"state_size": 2, "act": "tanh", "skip": True}),
]


def _id(name: str, options: Mapping[str, Any]) -> str:
    values = (f"{key}={value}" for key, value in options.items())
    return ",".join([name, *values]).replace(" ", "")


_NETWORKS = [
    *[(name, PLAIN.get(name, {}), depth) for name in ARCHITECTURES for depth in DEPTHS],
    *[(name, options, 2) for name, options in VARIANTS],
]
CASES = [(name, PLAIN.get(name, {})) for name in ARCHITECTURES] + VARIANTS

# Every architecture, and every kind of residual: constants that are not trained are saved, too.
every_architecture = pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(name, options, id=_id(name, options))
        for index, (name, options) in enumerate(CASES)
        if index < len(ARCHITECTURES) or set(options) == {"residual", "alpha", "gamma"}
    ],
)
every_network = pytest.mark.parametrize(
    ("name", "options", "depth"),
    [
        pytest.param(name, options, depth, id=f"{_id(name, options)}-{depth}")
        for name, options, depth in _NETWORKS
        if depth >= ARCHITECTURES[name].minimal_depth
    ],
)


def configuration(
    name: str, options: Mapping[str, Any], *seed: int | str, **fixed: Value
) -> dict[str, Value]:
    """Draw one configuration of an architecture.

    Args:
        name: name of the architecture.
        options: its options that differ from the defaults.
        seed: parts of the seed of the draw.
        fixed: values of hyperparameters that are not drawn; those that the architecture does not
            have are ignored.
    """
    space = search_space(name, options)
    fixed_domains = {key: Choice((value,)) for key, value in fixed.items() if key in space}
    return draw({**space, **fixed_domains}, "tests", *seed)


def network(
    name: str,
    options: Mapping[str, Any],
    depth: int,
    *,
    configurations: Sequence[Configuration],
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Network:
    """Return an initialised network that has one lane for each configuration.

    Args:
        name: name of the architecture.
        options: its options that differ from the defaults.
        depth: number of layers.
        configurations: configuration of each lane.
        seed: seed of the first lane's initial weights; each further lane has the next number.
        dtype: type of the parameters.
    """
    net = build(
        name,
        inputs=INPUTS,
        outputs=OUTPUTS,
        hidden=HIDDEN,
        depth=depth,
        lanes=len(configurations),
        options=options,
        dtype=dtype,
    )
    generators = [torch.Generator().manual_seed(seed + i) for i in range(len(configurations))]
    net.initialize(configurations, generators)
    return net


def randomize(module: M, seed: int = 0) -> M:
    """Give every parameter of a module asymmetric random values and return the module.

    The learned initial states are parameters, too.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return module


def cell(
    name: str,
    *,
    lanes: int = 1,
    inputs: int = INPUTS,
    hidden: int = HIDDEN,
    options: StackOptions | None = None,
    relu: bool = False,
) -> Cell:
    """Return one float64 layer with random weights and no forget bias.

    Args:
        name: name of the architecture, whose class extends :class:`Cell`.
        lanes: number of lanes.
        inputs: number of inputs.
        hidden: hidden width.
        options: an instance of the class's ``Options``; None for the defaults.
        relu: whether the nonlinearity is ReLU in all lanes, and not tanh.
    """
    cls = ARCHITECTURES[name]
    assert issubclass(cls, Cell)
    layer = cls(lanes, inputs, hidden, options or cls.Options(), dtype=torch.float64)
    randomize(layer)
    layer.relu.fill_(relu)
    return layer


def set_gate(
    layer: Cell,
    gate: str,
    input_weight: Tensor,
    recurrent_weight: Tensor,
    bias: Tensor,
    lane: int = 0,
) -> None:
    """Set the parameters of one gate in one lane.

    Args:
        layer: the layer.
        gate: name of the gate.
        input_weight: matrix that acts from the left, ``[hidden, inputs]`` as in torch.nn.
        recurrent_weight: matrix that acts from the left, ``[hidden, hidden]``.
        bias: bias, ``[hidden]``.
        lane: the lane.
    """
    at = layer.gates.index(gate) * layer.hidden
    columns = slice(at, at + layer.hidden)
    with torch.no_grad():
        layer.input_weight[lane, :, columns] = input_weight.T
        layer.recurrent_weight[lane, :, columns] = recurrent_weight.T
        layer.bias[lane, columns] = bias


def add_to_gate(layer: Cell, gate: str, value: float) -> None:
    """Set the constant that is added to a gate's pre-activation in all lanes, as a forget bias is.

    Args:
        layer: the layer.
        gate: name of the gate.
        value: the constant.
    """
    at = layer.gates.index(gate) * layer.hidden
    layer.gate_offset[:, at : at + layer.hidden] = value


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Return a float64 tensor of normally distributed random numbers."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
