"""Compares the hand-written recurrences with autograd through the loops that they replace."""

import sys

import pytest
import torch

from trainables.architectures import nonlinearity, scans
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import common

TIME, BATCH, HIDDEN = 7, 3, 4
MIXED = torch.tensor([True, False, True]).view(3, 1, 1)
KINDS = {
    "tanh": ("tanh", 1),
    "relu": ("relu", 2),
    "identity": ("identity", 1),
    "mixed": (MIXED, 3),
}
CARRY = torch.linspace(0.5, 1.1, HIDDEN, dtype=torch.float64).view(1, 1, -1)


def elman(carry=None, gamma=None):
    def fast(phi, u, h, weight, **options):
        return scans.elman(scans.Inputs(u), h, weight, phi, carry, gamma, **options)

    def loop(phi, u, h, weight):
        outputs = []
        for u_t in u.unbind(1):
            s = phi(u_t + h @ weight)
            h = (1.0 if gamma is None else gamma) * s + (0.0 if carry is None else carry) * h
            outputs.append(h)
        return torch.stack(outputs, 1)

    return fast, loop, 1, 1


def fast_ugrnn(phi, u, h, weight, **options):
    return scans.ugrnn(scans.Inputs(u), h, weight, phi, **options)


def loop_ugrnn(phi, u, h, weight):
    outputs = []
    for u_t in u.unbind(1):
        g, c = (u_t + h @ weight).chunk(2, -1)
        g = torch.sigmoid(g)
        h = g * h + (1 - g) * phi(c)
        outputs.append(h)
    return torch.stack(outputs, 1)


def fast_gru(phi, u, h, weight, **options):
    return scans.gru(scans.Inputs(u), h, weight, phi, **options)


def loop_gru(phi, u, h, weight):
    outputs, n = [], HIDDEN
    for u_t in u.unbind(1):
        r, v = torch.sigmoid(u_t[..., : 2 * n] + h @ weight[..., : 2 * n]).chunk(2, -1)
        h = v * h + (1 - v) * phi(u_t[..., 2 * n :] + (r * h) @ weight[..., 2 * n :])
        outputs.append(h)
    return torch.stack(outputs, 1)


def fast_lstm(phi, u, h, c, weight, **options):
    return scans.lstm(scans.Inputs(u), h, c, weight, phi, **options)


def loop_lstm(phi, u, h, c, weight):
    outputs = []
    for u_t in u.unbind(1):
        i, f, g, o = (u_t + h @ weight).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * phi(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, 1), c


# Each name has its recurrence, its loop, and its numbers of gates and of states.
RECURRENCES = {
    "elman": elman(),
    "elman_with_carry": elman(carry=CARRY),
    "elman_with_gamma": elman(gamma=torch.full((1, 1, 1), 0.3, dtype=torch.float64)),
    "elman_with_both": elman(carry=CARRY, gamma=1 - CARRY / 2),
    "ugrnn": (fast_ugrnn, loop_ugrnn, 2, 1),
    "gru": (fast_gru, loop_gru, 3, 1),
    "lstm": (fast_lstm, loop_lstm, 4, 2),
}
ROOM = common.room
every_recurrence = pytest.mark.parametrize("name", RECURRENCES)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(
    params=[(1, BATCH), (1 << 20, BATCH), (None, BATCH), (None, 70)],
    ids=["a step a block", "one block", "compiled", "compiled, two steps at a time"],
    autouse=True,
)
def compiled(request, monkeypatch):
    """Return whether loops are compiled; set how many steps a backward pass takes at once."""
    block_bytes, batch = request.param
    monkeypatch.setattr(sys.modules[__name__], "BATCH", batch)
    if block_bytes is not None:
        monkeypatch.setattr(common, "BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(nonlinearity, "compiles", lambda: False)
    assert nonlinearity.compiles() == (block_bytes is None)
    return block_bytes is None


def arguments(name, kind, dtype=torch.float64):
    """Return u, initial states and weight, all of them leaves, and the nonlinearity."""
    _, _, gates, states = RECURRENCES[name]
    values, lanes = KINDS[kind]
    generator = torch.Generator().manual_seed(1)
    shapes = [
        (lanes, TIME, BATCH, gates * HIDDEN),
        *[(lanes, BATCH, HIDDEN)] * states,
        (lanes, HIDDEN, gates * HIDDEN),
    ]
    tensors = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    phi = Nonlinearity(values, like=tensors[0])
    return [tensor.requires_grad_() for tensor in tensors], phi


def fast(name, tensors, phi, **options):
    """Run the recurrence as a cell calls it: columns are scaled, and u may be overwritten."""
    u, *states, weight = tensors
    columns = torch.ones(1, 1, u.shape[-1], dtype=u.dtype).repeat(u.shape[0], 1, 1)
    index = 2 if name == "lstm" else -1  # the gate that phi is applied to
    columns.unflatten(-1, (-1, HIDDEN))[..., index, :] = phi.scale
    u, weight = u * columns.unsqueeze(1), weight * columns
    outputs = RECURRENCES[name][0](phi, u, *states, weight, **options)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def loop(name, tensors, phi):
    outputs = RECURRENCES[name][1](phi, *tensors)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def close(own, expected, atol=1e-12):
    for a, b in zip(own, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=atol)


def weights_for(outputs, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(out.shape, generator=generator, dtype=out.dtype) for out in outputs]


@every_recurrence
@every_kind
def test_values_and_gradients_are_those_of_the_loop(name, kind):
    tensors, phi = arguments(name, kind)
    own, expected = fast(name, tensors, phi), loop(name, tensors, phi)
    close(own, expected)
    directions = weights_for(expected)
    close(
        torch.autograd.grad(own, tensors, directions),
        torch.autograd.grad(expected, tensors, directions),
    )


@every_recurrence
def test_gradients_are_those_of_finite_differences(name):
    tensors, phi = arguments(name, "mixed")
    assert torch.autograd.gradcheck(
        lambda *leaves: fast(name, leaves, phi), tensors, fast_mode=True
    )


@every_recurrence
def test_gradients_of_single_outputs_to_single_inputs_are_those_of_the_loop(name):
    """The test asks for outputs from a step on, one final state, and one input at a time."""
    tensors, phi = arguments(name, "tanh")
    first = TIME - 2
    own, expected = fast(name, tensors, phi, first=first), loop(name, tensors, phi)
    close(own[:1], [expected[0][:, first:]])
    direction = weights_for(own)[0].mT.contiguous().mT  # not contiguous
    for index in range(len(tensors)):
        leaves = [t.detach().requires_grad_(i == index) for i, t in enumerate(tensors)]
        own, expected = fast(name, leaves, phi, first=first), loop(name, leaves, phi)
        close(
            torch.autograd.grad(own[0], leaves[index], direction),
            torch.autograd.grad(expected[0][:, first:], leaves[index], direction),
        )
        if len(own) == 2:  # the last cell state alone
            own, expected = fast(name, leaves, phi), loop(name, leaves, phi)
            close(
                torch.autograd.grad(own[1].sum(), leaves[index]),
                torch.autograd.grad(expected[1].sum(), leaves[index]),
            )


@every_recurrence
def test_a_second_backward_pass_gives_the_same_gradients(name):
    tensors, phi = arguments(name, "mixed")
    outputs = fast(name, tensors, phi)
    directions = weights_for(outputs)
    once = torch.autograd.grad(outputs, tensors, directions, retain_graph=True)
    other = torch.autograd.grad(outputs, tensors, weights_for(outputs, 3), retain_graph=True)
    again = torch.autograd.grad(outputs, tensors, directions)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(once, other, strict=True))


@every_recurrence
def test_a_recurrence_without_gradients_computes_the_same_and_keeps_one_step(name, monkeypatch):
    tensors, phi = arguments(name, "tanh")
    expected = fast(name, tensors, phi)
    kept_steps = []
    monkeypatch.setattr(
        common,
        "room",
        lambda like, steps, *gates: kept_steps.append(steps) or ROOM(like, steps, *gates),
    )
    with torch.no_grad():
        own = fast(name, tensors, phi)
    assert all(torch.equal(a, b) for a, b in zip(own, expected, strict=True))
    assert set(kept_steps) <= {1}


@every_recurrence
def test_a_recurrence_accepts_columns_of_a_wider_product(name):
    """The intersection network does so: its other columns belong to no recurrence."""
    tensors, phi = arguments(name, "tanh")
    u, *states_and_weight = tensors
    wide = torch.cat([u, u, u], dim=-1)
    own = RECURRENCES[name][0](phi, wide[..., u.shape[-1] : 2 * u.shape[-1]], *states_and_weight)
    expected = RECURRENCES[name][0](phi, u.clone(), *states_and_weight)
    own, expected = (x if isinstance(x, tuple) else (x,) for x in (own, expected))
    close(own, expected)
    directions = weights_for(expected)
    close(
        torch.autograd.grad(own, tensors, directions),
        torch.autograd.grad(expected, tensors, directions),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_by_sigmoid_is_tanh(dtype, monkeypatch):
    monkeypatch.setattr(nonlinearity, "compiles", lambda: False)
    z = torch.linspace(-20, 20, 400_001, dtype=dtype).view(1, 1, -1)
    phi = Nonlinearity("tanh", like=z)
    s = phi.apply_(phi.scale * z)
    error = (s - torch.tanh(z.double())).abs().max()
    assert error <= (2.5e-7 if dtype == torch.float32 else 5e-16)
    slope = phi.scale * phi.slope(s, torch.empty_like(s))
    torch.testing.assert_close(slope, 1 - s * s, rtol=1e-5, atol=3e-7)


def test_tanh_in_half_precision_is_torchs_own():
    z = torch.linspace(-3, 3, 100, dtype=torch.bfloat16).view(1, 1, -1)
    phi = Nonlinearity("tanh", like=z)
    assert phi.scale == 1
    assert torch.equal(phi.apply_(z.clone()), torch.tanh(z))


def test_lanes_that_all_have_one_nonlinearity_act_like_that_nonlinearity():
    z = torch.linspace(-3, 3, 12).view(3, 1, -1)
    for value, kind in ((True, "relu"), (False, "tanh")):
        lanes = Nonlinearity(torch.full((3, 1, 1), value))
        assert lanes.scale == Nonlinearity(kind).scale
        assert torch.equal(lanes(z), getattr(torch, kind)(z))


def test_an_infinite_lane_leaves_the_others_alone(monkeypatch):
    monkeypatch.setattr(nonlinearity, "compiles", lambda: False)
    z = torch.full((3, 1, 4), torch.inf)
    z[1] = -0.5
    phi = Nonlinearity(MIXED)
    s = phi.apply_(z.clone())
    torch.testing.assert_close(s[1], torch.tanh(z[1] / 2))
    assert (s[0] == torch.inf).all()
    assert (s[2] == torch.inf).all()
