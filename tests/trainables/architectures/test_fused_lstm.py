"""Tests that the LSTM by PyTorch's kernel computes what the loop over time computes."""

import pytest
import torch

from tests.support.networks import noise, randomize
from trainables.architectures import build, fused_lstm
from trainables.architectures.gated import ForgetBias

TIME, BATCH, INPUTS, HIDDEN = 7, 40, 3, 30


@pytest.fixture
def calls(monkeypatch):
    """Return a list with an entry per call of PyTorch's kernel, as if float32 were on a GPU."""
    monkeypatch.setattr(fused_lstm, "pays", lambda x: x.dtype == torch.float32)
    count = []
    kernel = torch.lstm
    monkeypatch.setattr(torch, "lstm", lambda *a, **k: count.append(1) or kernel(*a, **k))
    return count


def layers(lanes):
    """Return the same layer in float32 and in float64."""
    both = []
    for dtype in (torch.float32, torch.float64):
        network = build("lstm", inputs=INPUTS, outputs=1, hidden=HIDDEN, lanes=lanes, dtype=dtype)
        both.append(network.layers[0])
    with torch.no_grad():
        randomize(both[1])
        both[1].gate_offset[:, HIDDEN : 2 * HIDDEN] = 1.5
        for own, other in zip(
            both[0].state_dict().values(), both[1].state_dict().values(), strict=True
        ):
            own.copy_(other)
    return both


def results(layer, x, first, state=None):
    """Return outputs, final states and all gradients of a sum with fixed random weights."""
    x = x.detach().requires_grad_()
    outputs, (h, c) = layer(x, state, first)
    weights = [noise(*part.shape, seed=i).to(part) for i, part in enumerate((outputs, h, c))]
    total = sum((part * w).sum() for part, w in zip((outputs, h, c), weights, strict=True))
    gradients = torch.autograd.grad(total, [x, *layer.parameters()])
    return outputs, h, c, *gradients


@pytest.mark.parametrize("first", [0, 3, TIME - 1])
@pytest.mark.parametrize("lanes", [1, 3])
def test_outputs_states_and_gradients_are_those_of_the_loop(lanes, first, calls):
    single, double = layers(lanes)
    x = noise(lanes, TIME, BATCH, INPUTS)
    actual = results(single, x.float(), first)
    assert len(calls) == lanes
    expected = results(double, x, first)
    assert len(calls) == lanes  # float64 uses the loop
    for own, other in zip(actual, expected, strict=True):
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(own.double(), other, rtol=0, atol=2e-6 * max(1.0, scale))


@pytest.mark.parametrize("handed_on", [False, True])
@pytest.mark.parametrize("lanes", [1, 3])
def test_all_layers_of_a_stack_take_one_call_per_lane(lanes, handed_on, calls):
    single, double = (
        build("lstm", inputs=INPUTS, outputs=2, hidden=HIDDEN, depth=3, lanes=lanes, dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    )
    randomize(double)
    with torch.no_grad():
        for own, other in zip(
            single.state_dict().values(), double.state_dict().values(), strict=True
        ):
            own.copy_(other)
    x = noise(lanes, TIME, BATCH, INPUTS)
    initial_states = [
        tuple(noise(lanes, BATCH, HIDDEN, seed=k + 9 * j) for j in (0, 1)) for k in range(3)
    ]
    both_results = []
    for network in (single, double):
        dtype = network.readout_weight.dtype
        states = [tuple(part.to(dtype) for part in state) for state in initial_states]
        outputs, finals = network(x.to(dtype), states if handed_on else None, 2)
        flat = [outputs, *(part for state in finals for part in state)]
        total = sum((part * noise(*part.shape, seed=i)).sum() for i, part in enumerate(flat))
        gradients = torch.autograd.grad(total, list(network.parameters()), allow_unused=handed_on)
        both_results.append([*flat, *(g for g in gradients if g is not None)])
        assert len(calls) == lanes  # float64 uses the loop
    for own, other in zip(*both_results, strict=True):
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(own.double(), other, rtol=0, atol=2e-6 * max(1.0, scale))


def test_a_state_handed_on_continues_the_run(calls):
    layer, _ = layers(2)
    x = noise(2, TIME, BATCH, INPUTS).float()
    with torch.no_grad():
        uninterrupted, final = layer(x)
        first, middle = layer(x[:, :2])
        second, last = layer(x[:, 2:], middle)
    assert len(calls) == 6
    torch.testing.assert_close(torch.cat([first, second], 1), uninterrupted, rtol=0, atol=1e-6)
    for own, other in zip(last, final, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-6)


def test_on_a_cpu_the_kernel_does_not_pay():
    assert not fused_lstm.pays(torch.empty(1, 5, 800, 2))


def test_other_nonlinearities_use_the_loop(calls):
    options = {"nonlinearity": "relu"}
    relu = build("lstm", inputs=2, outputs=1, hidden=4, options=options).layers[0]
    assert relu.options == ForgetBias(nonlinearity="relu")
    randomize(relu)(torch.randn(1, 5, 8, 2))
    mixed, _ = layers(2)
    mixed.relu[1] = True
    mixed(torch.randn(2, 5, BATCH, INPUTS))
    assert not calls
