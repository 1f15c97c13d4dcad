"""Tests the stack of layers and its readout."""

import pytest
import torch

from tests.support.networks import cell, configuration, network, noise
from trainables.architectures import ARCHITECTURES, Impossible, build, check_options, search_space
from trainables.registry import OptionError


@torch.no_grad()
def test_each_layer_sees_the_current_state_of_the_layer_below():
    net = build("rnn", inputs=3, outputs=2, hidden=4, depth=2, dtype=torch.float64)
    other = [torch.nn.RNNCell(n, 4, dtype=torch.float64) for n in (3, 4)]
    for layer, peer in zip(net.layers, other, strict=True):
        layer.input_weight[0] = peer.weight_ih.T
        layer.recurrent_weight[0] = peer.weight_hh.T
        layer.bias[0] = peer.bias_ih + peer.bias_hh
        layer.initial_state.zero_()
    readout = torch.nn.Linear(4, 2, dtype=torch.float64)
    net.readout_weight[0], net.readout_bias[0] = readout.weight.T, readout.bias
    x = noise(1, 5, 2, 3)
    low = high = torch.zeros(2, 4, dtype=torch.float64)
    for x_t, output in zip(x[0], net(x)[0][0], strict=True):
        low = other[0](x_t, low)
        high = other[1](low, high)
        torch.testing.assert_close(output, readout(high), rtol=0, atol=1e-12)


def test_the_readout_is_drawn_with_scales_of_its_own():
    drawn = configuration("gru", {}, 0, bias_distribution="constant")
    drawn |= {"readout_scale": 0.25, "readout_bias_scale": -0.75}
    net = build("gru", inputs=2, outputs=60, hidden=50, dtype=torch.float64)
    net.initialize([drawn], [torch.Generator().manual_seed(0)])
    assert net.readout_weight.std().item() == pytest.approx(0.25 / 50**0.5, rel=0.05)
    assert net.readout_bias.tolist() == [[-0.75] * 60]
    drawn["bias_distribution"] = "normal"
    net.initialize([drawn], [torch.Generator().manual_seed(0)])
    assert net.readout_bias.std().item() == pytest.approx(0.75, rel=0.3)


def test_layers_of_one_network_are_drawn_with_different_weights():
    net = network("gru", {}, 3, configurations=[configuration("gru", {}, 0)])
    assert not torch.equal(net.layers[1].input_weight, net.layers[2].input_weight)


def test_lanes_compute_what_they_compute_alone():
    drawn = [configuration("lstm", {}, lane) for lane in range(3)]
    net = network("lstm", {}, 2, configurations=drawn)
    x = noise(3, 5, 2, 3)
    outputs, _ = net(x)
    for lane in range(3):
        alone = network("lstm", {}, 2, configurations=[drawn[lane]], seed=lane)
        torch.testing.assert_close(
            outputs[lane], alone(x[lane : lane + 1])[0][0], rtol=0, atol=1e-13
        )


def test_a_lane_that_is_not_a_number_leaves_the_others_alone():
    layer = cell("gru", lanes=3)
    x = noise(3, 5, 2, 3)
    expected = layer(x)[0].detach()
    with torch.no_grad():
        layer.recurrent_weight[1, 0, 0] = torch.nan
    outputs, _ = layer(x)
    assert outputs[1].isnan().any()
    assert torch.equal(outputs[[0, 2]], expected[[0, 2]])
    gradient = torch.autograd.grad(outputs.sum(), layer.input_weight)[0]
    assert gradient[[0, 2]].isfinite().all()


def test_a_wrong_name_or_option_is_refused_with_the_nearest_right_one():
    with pytest.raises(OptionError, match="unknown architecture 'gruu'; did you mean 'gru'"):
        build("gruu", inputs=1, outputs=1, hidden=1)
    with pytest.raises(OptionError, match="unknown architecture 'lstn'; did you mean 'lstm'"):
        search_space("lstn")
    with pytest.raises(OptionError, match="unknown option 'gama' of wcrnn; did you mean 'gamma'"):
        check_options("wcrnn", {"gama": 0.1})
    known = "known: act, forget_bias, initialization, nonlinearity, skip$"
    with pytest.raises(OptionError, match=f"unknown option 'zzz' of gru; {known}"):
        check_options("gru", {"zzz": 1.0})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_a_summary_and_a_source(name):
    cls = ARCHITECTURES[name]
    assert len(cls.summary) > 10
    assert "paper" in cls.source or "chapter" in cls.source
    assert "\n" not in cls.summary + cls.source


def test_a_width_that_rotations_cannot_have_is_impossible():
    options = {"residual": "rotational"}
    with pytest.raises(Impossible) as error:
        build("wcrnn", inputs=2, outputs=1, hidden=5, options=options)
    assert str(error.value) == (
        "wcrnn with these options does not exist 5 units wide: the width must be a multiple of 2"
    )
    assert build("wcrnn", inputs=2, outputs=1, hidden=6, options=options).lanes == 1
    assert build("wcrnn", inputs=2, outputs=1, hidden=5, options={}).lanes == 1
