"""Small networks of every architecture, for tests that hold for all of them."""

import pytest
import torch

from trainables.architectures import ARCHITECTURES, Network, build, search_space
from trainables.architectures.cell import Cell
from trainables.space import draw

INPUTS, OUTPUTS, HIDDEN = 3, 2, 4
DEPTHS = (1, 2, 4)

WCRNN_OPTIONS = (
    {"residual": "scaled", "alpha": 0.95, "gamma": 0.2},
    {"residual": "heterogeneous", "alpha": 0.95, "epsilon": 0.1, "gamma": 0.2},
)
CASES = [
    pytest.param(name, options, id="-".join([name, *[str(v) for v in options.values()][:1]]))
    for name in ARCHITECTURES
    for options in (WCRNN_OPTIONS if name == "wcrnn" else ({},))
]

every_architecture = pytest.mark.parametrize(("name", "options"), CASES)
every_network = pytest.mark.parametrize(
    ("name", "options", "depth"),
    [
        pytest.param(*case.values, depth, id=f"{case.id}-{depth}")
        for case in CASES
        for depth in DEPTHS
        if depth >= ARCHITECTURES[case.values[0]].minimal_depth
    ],
)


def configuration(name, options, *seed, **fixed):
    """One drawn configuration; of what is ``fixed``, only what the architecture has."""
    drawn = draw(search_space(name, options), "tests", *seed)
    return drawn | {key: value for key, value in fixed.items() if key in drawn}


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
