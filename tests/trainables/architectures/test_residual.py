"""Weakly coupled residual networks by hand, and their fixed residual."""

import numpy as np
import pytest
import torch
from scipy import stats

from tests.trainables.helpers import noise
from trainables.architectures import build, search_space
from trainables.registry import OptionError


def make(hidden=4, lanes=1, seed=0, depth=1, **options):
    net = build(
        "wcrnn",
        inputs=3,
        outputs=2,
        hidden=hidden,
        depth=depth,
        lanes=lanes,
        options=options,
        dtype=torch.float64,
    )
    net.initialize([{}] * lanes, [torch.Generator().manual_seed(seed + i) for i in range(lanes)])
    return net


@pytest.mark.parametrize("residual", ["scaled", "heterogeneous"])
def test_a_network_of_two_lanes_by_hand(residual):
    net = make(lanes=2, residual=residual, alpha=0.9, epsilon=0.2, gamma=0.3)
    layer = net.layers[0]
    with torch.no_grad():
        layer.initial_state.copy_(noise(2, 4, seed=5))
    x = noise(2, 6, 3, 3)
    outputs = layer(x)[0].detach().numpy()
    for lane in range(2):
        alphas = layer.residual[lane].numpy()
        if residual == "scaled":
            assert alphas.tolist() == [0.9] * 4
        w = layer.recurrent_weight[lane].detach().numpy().T
        w_in = layer.input_weight[lane].detach().numpy().T
        b = layer.bias[lane].detach().numpy()
        for sample in range(3):
            h = layer.initial_state[lane].detach().numpy()
            for t in range(6):
                drive = np.tanh(w @ h + w_in @ x[lane, t, sample].numpy() + b)
                h = np.diag(alphas) @ h + 0.3 * drive
                np.testing.assert_allclose(outputs[lane, t, sample], h, rtol=0, atol=1e-13)


def test_heterogeneous_strengths_are_uniform_around_alpha():
    layer = make(hidden=2000, residual="heterogeneous", alpha=0.9, epsilon=0.05).layers[0]
    alphas = layer.residual[0].numpy()
    assert alphas.min() >= 0.85
    assert alphas.max() <= 0.95
    assert stats.kstest(alphas, stats.uniform(0.85, 0.1).cdf).pvalue > 1e-3


def test_heterogeneous_strengths_belong_to_the_seed():
    options = {"residual": "heterogeneous", "alpha": 1.0, "epsilon": 0.05}
    first, again, other = (make(seed=seed, depth=2, **options) for seed in (3, 3, 4))
    for layer in range(2):
        assert torch.equal(first.layers[layer].residual, again.layers[layer].residual)
        assert not torch.equal(first.layers[layer].residual, other.layers[layer].residual)
    assert not torch.equal(first.layers[0].residual, first.layers[1].residual)
    lanes = make(lanes=2, **options).layers[0].residual
    assert not torch.equal(lanes[0], lanes[1])


@pytest.mark.parametrize("residual", ["scaled", "heterogeneous"])
def test_the_residual_is_neither_trained_nor_counted(residual):
    net = make(residual=residual)
    assert "layers.0.residual" not in dict(net.named_parameters())
    assert "layers.0.residual" in net.state_dict()
    # W, W_in, b, initial state, readout and its bias
    assert net.parameter_count() == 4 * 4 + 3 * 4 + 4 + 4 + 4 * 2 + 2


def test_weights_start_as_those_of_torch_linear():
    layer = make(hidden=400).layers[0]
    net = make(hidden=400)
    for weight, fan_in in (
        (layer.recurrent_weight, 400),
        (layer.input_weight, 3),
        (layer.bias, 3),
        (net.readout_weight, 400),
    ):
        bound = 1 / fan_in**0.5
        values = weight.detach().flatten().numpy()
        assert np.abs(values).max() <= bound
        assert stats.kstest(values[:20_000], stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    assert net.readout_bias.abs().max() <= 1 / 400**0.5
    assert net.readout_bias.any()
    assert not layer.initial_state.any()


def test_a_linear_of_torch_has_the_same_bounds():
    torch.manual_seed(0)
    peer = torch.nn.Linear(3, 50_000)
    layer = make(hidden=1000).layers[0]
    for own, torchs in ((layer.input_weight, peer.weight), (layer.bias, peer.bias)):
        assert own.abs().max().item() == pytest.approx(torchs.abs().max().item(), rel=5e-3)


def test_only_learning_is_searched():
    assert set(search_space("wcrnn")) == {
        "optimizer",
        "learning_rate",
        "learning_rate_decay",
        "momentum_logit",
        "clip_norm",
        "l2",
    }


@pytest.mark.parametrize("option", ["alpha", "epsilon", "gamma"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_strengths_below_zero_or_not_finite_are_refused(option, value):
    with pytest.raises(OptionError, match=f"option '{option}' of wcrnn"):
        make(**{option: value})
