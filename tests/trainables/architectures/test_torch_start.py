"""Gated cells with ``initialization: torch`` start as the recurrent cells of ``torch.nn`` do."""

import math

import pytest
import torch
from scipy import stats

from trainables.architectures import build, check_options, search_space
from trainables.architectures.cell import Cell
from trainables.seeds import derive
from trainables.space import LEARNING, NONLINEARITY

HIDDEN, INPUTS, LANES = 40, 7, 6
GATED = ["ugrnn", "gru", "lstm", "ur_lstm"]
TORCH = {"initialization": "torch"}
GATE_STARTS = ("forget", "refine")  # of the UR-LSTM, whose biases start in a way of their own


def started(name, **options):
    net = build(
        name,
        inputs=INPUTS,
        outputs=3,
        hidden=HIDDEN,
        depth=2,
        lanes=LANES,
        options=TORCH | options,
        dtype=torch.float64,
    )
    generators = [torch.Generator().manual_seed(derive(name, lane)) for lane in range(LANES)]
    net.initialize([{}] * LANES, generators)  # no hyperparameter decides the start
    return net


def of_torch(kind):
    """Return weights and biases that act in many layers of torch.nn: each bias is a sum of two."""
    torch.manual_seed(0)
    layers = [kind(INPUTS, HIDDEN, dtype=torch.float64) for _ in range(LANES)]
    inputs = torch.stack([layer.weight_ih_l0 for layer in layers]).detach()
    recurrent = torch.stack([layer.weight_hh_l0 for layer in layers]).detach()
    biases = torch.stack([layer.bias_ih_l0 + layer.bias_hh_l0 for layer in layers]).detach()
    return inputs, recurrent, biases


def alike(first, second):
    samples = first.detach().flatten().numpy(), second.detach().flatten().numpy()
    return stats.ks_2samp(*samples).pvalue > 1e-3


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_weights_and_biases_are_distributed_as_those_that_act_in_torch(name, kind):
    inputs, recurrent, biases = of_torch(kind)
    bound = 1 / math.sqrt(HIDDEN)
    for layer in started(name).layers:
        assert isinstance(layer, Cell)
        plain = [gate for gate in layer.gates if name != "ur_lstm" or gate not in GATE_STARTS]
        bias = torch.cat([layer.bias[:, layer._columns(gate)] for gate in plain], dim=1).detach()
        for weight, other in (
            (layer.input_weight, inputs),
            (layer.recurrent_weight, recurrent),
            (bias, biases),
        ):
            assert alike(weight, other)
        for weight in (layer.input_weight, layer.recurrent_weight):
            assert 0.99 * bound < weight.abs().max() <= bound
        assert bound < bias.abs().max() <= 2 * bound
        # The sum of two uniform numbers in (-b, b) has the variance 2 b^2 / 3.
        assert bias.var().item() == pytest.approx(2 * bound**2 / 3, rel=0.2)
        assert not layer.initial_state.any()


@pytest.mark.parametrize("name", GATED)
def test_the_readout_starts_as_a_linear_layer_of_torch(name):
    torch.manual_seed(0)
    others = [torch.nn.Linear(HIDDEN, 3) for _ in range(LANES)]
    net, bound = started(name), 1 / math.sqrt(HIDDEN)
    assert alike(net.readout_weight, torch.stack([other.weight for other in others]))
    assert net.readout_weight.abs().max() <= bound
    assert net.readout_bias.abs().max() <= bound


@pytest.mark.parametrize("name", GATED)
def test_only_learning_is_searched(name):
    assert search_space(name, TORCH) == LEARNING
    searched = search_space(name, TORCH | {"nonlinearity": "searched"})
    assert searched == {**LEARNING, "nonlinearity": NONLINEARITY}


@pytest.mark.parametrize("name", GATED)
def test_the_nonlinearity_is_that_of_torch_unless_an_option_says_otherwise(name):
    assert started(name).layers[0].nonlinearity().is_tanh
    assert not started(name, nonlinearity="relu").layers[0].nonlinearity().is_tanh
    assert check_options(name, {}).nonlinearity == "searched"


@pytest.mark.parametrize("name", ["ugrnn", "gru", "lstm"])
def test_the_forget_bias_is_zero_unless_an_option_gives_it(name):
    assert not started(name).layers[0].gate_offset.any()
    layer = started(name, forget_bias=1.5).layers[0]
    gate = layer._columns(layer.forget_gates()["forget_bias"])
    assert (layer.gate_offset[:, gate] == 1.5).all()
    assert layer.gate_offset.sum() == LANES * HIDDEN * 1.5


def test_the_gates_of_a_ur_lstm_keep_their_uniform_start():
    layer = started("ur_lstm").layers[0]
    forget, refine = (layer.bias[:, layer._columns(gate)].detach() for gate in GATE_STARTS)
    assert torch.equal(refine, -forget)
    uniform = stats.uniform(1 / HIDDEN, 1 - 2 / HIDDEN)
    assert stats.kstest(torch.sigmoid(forget).flatten().numpy(), uniform.cdf).pvalue > 1e-3


def test_lanes_and_gates_start_apart():
    layer = started("lstm").layers[0]
    assert not torch.equal(layer.bias[0], layer.bias[1])
    gates = layer.recurrent_weight[0].unflatten(1, (4, HIDDEN)).unbind(1)
    assert all(not torch.equal(gates[0], other) for other in gates[1:])
