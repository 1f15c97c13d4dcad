"""Small networks of every architecture, for tests that hold for all of them."""

import pytest
import torch

from trainables.architectures import ARCHITECTURES, Network, build, search_space
from trainables.architectures.cell import Cell
from trainables.space import Choice, draw

INPUTS, OUTPUTS, HIDDEN = 3, 2, 4  # an even width: some residuals rotate pairs of units
DEPTHS = (1, 2, 4)

# The options of each name at depths 1, 2 and 4: none, or those that make it small or lively.
PLAIN = {
    "cprnn": {"rank": 3},
    "wcrnn": {"residual": "scaled", "alpha": 0.95, "gamma": 0.2},
    "s4d": {"state_size": 8},
}
# At depth 2.
VARIANTS = [
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


def _id(name, options):
    values = (f"{key}={value}" for key, value in options.items())
    return ",".join([name, *values]).replace(" ", "")


_NETWORKS = [
    *[(name, PLAIN.get(name, {}), depth) for name in ARCHITECTURES for depth in DEPTHS],
    *[(name, options, 2) for name, options in VARIANTS],
]
CASES = [(name, PLAIN.get(name, {})) for name in ARCHITECTURES] + VARIANTS

# Every name, and every kind of residual: what is not trained is yet saved and restored.
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


def configuration(name, options, *seed, **fixed):
    """One drawn configuration; of what is ``fixed``, only what the architecture has."""
    space = search_space(name, options)
    known = {key: Choice((value,)) for key, value in fixed.items() if key in space}
    return draw({**space, **known}, "tests", *seed)


def network(name, options, depth, *, configurations, seed=0, dtype=torch.float64) -> Network:
    """An initialised network with one lane a configuration."""
    made = build(
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
    made.initialize(configurations, generators)
    return made


def randomize(module, seed=0):
    """Give every parameter, learned initial states included, asymmetric random values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return module


def cell(name, *, lanes=1, inputs=INPUTS, hidden=HIDDEN, options=None, relu=False) -> Cell:
    """One float64 layer with random weights and no forget bias."""
    cls = ARCHITECTURES[name]
    made = cls(lanes, inputs, hidden, options or cls.Options(), dtype=torch.float64)
    randomize(made)
    made.relu.fill_(relu)
    return made


def set_gate(layer, gate, input_weight, recurrent_weight, bias, lane=0):
    """Set one gate from matrices that act from the left: ``[hidden, inputs]``, as in torch.nn."""
    at = layer.gates.index(gate) * layer.hidden
    columns = slice(at, at + layer.hidden)
    with torch.no_grad():
        layer.input_weight[lane, :, columns] = input_weight.T
        layer.recurrent_weight[lane, :, columns] = recurrent_weight.T
        layer.bias[lane, columns] = bias


def add_to_gate(layer, gate, value):
    """Set the run-time constant of ``gate`` in all lanes, as a forget bias does."""
    at = layer.gates.index(gate) * layer.hidden
    layer.gate_offset[:, at : at + layer.hidden] = value


def noise(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
