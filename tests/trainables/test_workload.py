"""Compares estimated numbers of operations with those that torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.architectures import build, nonlinearity, search_space
from trainables.space import draw
from trainables.tasks import make
from trainables.workload import FORWARD, TRAINING, Workload

# Torch sees each product of these architectures: in float64 none goes through a fused kernel.
COUNTED = [
    "rnn",
    "irnn",
    "ugrnn",
    "gru",
    "lstm",
    "mirnn",
    "deep_transition",
    "wcrnn",
]


def in_place(into, a, b, *_, **__):
    """Count a product that is added in place, which torch does not count by itself."""
    lanes, rows, inner = a
    return 2 * lanes * rows * inner * b[-1]


IN_PLACE = {torch.ops.aten.baddbmm_: in_place}


def work(name, hidden=32, depth=2, lanes=1, batch=8, task=None):
    task = task or make("parentheses", {"length": 12})
    sizes = {"inputs": task.inputs, "outputs": task.outputs, "hidden": hidden, "depth": depth}
    network = build(name, **sizes, lanes=lanes, dtype=torch.float64)
    workload = Workload.of(
        task,
        name,
        hidden=hidden,
        depth=depth,
        parameters=network.parameter_count(),
        lanes=lanes,
        batch=batch,
    )
    return network, task, workload


@pytest.mark.parametrize("name", COUNTED)
def test_estimated_operations_are_those_that_torch_counts(name, monkeypatch):
    monkeypatch.setattr(nonlinearity, "compiles", lambda: False)  # torch counts no compiled loop
    lanes, batch = 3, 8
    network, task, workload = work(name, lanes=lanes, batch=batch)
    configuration = draw(search_space(name), "workload")
    network.initialize(
        [configuration] * lanes, [torch.Generator().manual_seed(i) for i in range(lanes)]
    )
    x = torch.randn(lanes, task.length, batch, task.inputs, dtype=torch.float64)
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as forward:
        outputs, _ = network(x, first_output=task.first_output)
    # Biases and the initial state are weights that nothing is multiplied with: less than a tenth.
    assert forward.get_total_flops() == pytest.approx(FORWARD * workload.products, rel=0.1)
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as backward:
        torch.autograd.grad(outputs.sum(), list(network.parameters()))
    # No gradient goes to the input of the first layer, whose weights are most of these.
    total = forward.get_total_flops() + backward.get_total_flops()
    to_input = 2 * lanes * batch * task.length * task.inputs * 32 * _columns(network)
    assert total == pytest.approx(TRAINING * workload.products - to_input, rel=0.1)


def _columns(network):
    """Return the columns of the first layer's input weight, in units of its width."""
    return network.layers[0].input_weight.shape[-1] / 32


def test_the_readout_counts_only_at_steps_that_have_an_output():
    every = make("shakespeare", {"warm_up": 0, "length": 8})
    last = make("shakespeare", {"warm_up": 7, "length": 8})
    readout = (32 + 1) * 65
    products = [work("rnn", task=task)[2].products for task in (every, last)]
    assert products[0] - products[1] == 8 * 7 * readout  # batch x steps x weights


def test_amounts_of_a_workload_grow_with_depth_and_lanes():
    shallow, deep = (work("gru", depth=depth)[2] for depth in (1, 2))
    assert deep.updates == 2 * shallow.updates == 24
    assert shallow.elements == 12 * 8 * 32
    packed = work("gru", depth=1, lanes=5)[2]
    assert (packed.updates, packed.elements) == (shallow.updates, 5 * shallow.elements)
    assert packed.products == 5 * shallow.products
    assert shallow.amounts() == (1.0, shallow.updates, shallow.elements, 6 * shallow.products)
