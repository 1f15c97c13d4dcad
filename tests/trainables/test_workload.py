"""Operations as they are estimated, against torch counting what it does."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.architectures import build, nonlinearity, search_space
from trainables.space import draw
from trainables.tasks import make
from trainables.workload import FORWARD, TRAINING, Workload

# Those whose products torch sees one by one: in float64 none goes through a fused kernel.
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
    """Torch counts what is new, but not what is added in place."""
    lanes, rows, inner = a
    return 2 * lanes * rows * inner * b[-1]


IN_PLACE = {torch.ops.aten.baddbmm_: in_place}


def work(name, hidden=32, depth=2, lanes=1, batch=8, task=None):
    task = task or make("parentheses", {"length": 12})
    sizes = {"inputs": task.inputs, "outputs": task.outputs, "hidden": hidden, "depth": depth}
    network = build(name, **sizes, lanes=lanes, dtype=torch.float64)
    made = Workload.of(
        task,
        name,
        hidden=hidden,
        depth=depth,
        parameters=network.parameter_count(),
        lanes=lanes,
        batch=batch,
    )
    return network, task, made


@pytest.mark.parametrize("name", COUNTED)
def test_operations_are_those_that_torch_counts(name, monkeypatch):
    monkeypatch.setattr(nonlinearity, "compiles", lambda: False)  # torch counts no compiled loop
    lanes, batch = 3, 8
    network, task, made = work(name, lanes=lanes, batch=batch)
    configuration = draw(search_space(name), "workload")
    network.initialize(
        [configuration] * lanes, [torch.Generator().manual_seed(i) for i in range(lanes)]
    )
    x = torch.randn(lanes, task.length, batch, task.inputs, dtype=torch.float64)
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as forward:
        outputs, _ = network(x, first_output=task.first_output)
    # Biases and the initial state are weights that nothing is multiplied with: less than a tenth.
    assert forward.get_total_flops() == pytest.approx(FORWARD * made.products, rel=0.1)
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as backward:
        torch.autograd.grad(outputs.sum(), list(network.parameters()))
    # No gradient goes to the input of the first layer, whose weights are most of these.
    total = forward.get_total_flops() + backward.get_total_flops()
    to_input = 2 * lanes * batch * task.length * task.inputs * 32 * _columns(network)
    assert total == pytest.approx(TRAINING * made.products - to_input, rel=0.1)


def _columns(network):
    """Of the first layer's input weight, in units of its width."""
    return network.layers[0].input_weight.shape[-1] / 32


def test_the_readout_counts_where_it_is_asked():
    every = make("shakespeare", {"warm_up": 0, "length": 8})
    last = make("shakespeare", {"warm_up": 7, "length": 8})
    readout = (32 + 1) * 65
    products = [work("rnn", task=task)[2].products for task in (every, last)]
    assert products[0] - products[1] == 8 * 7 * readout  # batch x steps x weights


def test_amounts_grow_as_their_names_say():
    one, two = (work("gru", depth=depth)[2] for depth in (1, 2))
    assert two.updates == 2 * one.updates == 24
    assert one.elements == 12 * 8 * 32
    packed = work("gru", depth=1, lanes=5)[2]
    assert (packed.updates, packed.elements) == (one.updates, 5 * one.elements)
    assert packed.products == 5 * one.products
    assert one.amounts() == (1.0, one.updates, one.elements, 6 * one.products)
