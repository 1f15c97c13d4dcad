"""The hand-written recurrences against autograd through the loops that they stand for."""

import pytest
import torch

from trainables.architectures import scans
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
    def fast(phi, u, h, weight, **given):
        return scans.elman(u, h, weight, phi, carry, gamma, **given)

    def loop(phi, u, h, weight):
        outputs = []
        for u_t in u.unbind(1):
            s = phi(u_t + h @ weight)
            h = (1.0 if gamma is None else gamma) * s + (0.0 if carry is None else carry) * h
            outputs.append(h)
        return torch.stack(outputs, 1)

    return fast, loop, 1, 1


def fast_ugrnn(phi, u, h, weight, **given):
    return scans.ugrnn(u, h, weight, phi, **given)


def loop_ugrnn(phi, u, h, weight):
    outputs = []
    for u_t in u.unbind(1):
        g, c = (u_t + h @ weight).chunk(2, -1)
        g = torch.sigmoid(g)
        h = g * h + (1 - g) * phi(c)
        outputs.append(h)
    return torch.stack(outputs, 1)


def fast_gru(phi, u, h, weight, **given):
    return scans.gru(u, h, weight, phi, **given)


def loop_gru(phi, u, h, weight):
    outputs, n = [], HIDDEN
    for u_t in u.unbind(1):
        r, v = torch.sigmoid(u_t[..., : 2 * n] + h @ weight[..., : 2 * n]).chunk(2, -1)
        h = v * h + (1 - v) * phi(u_t[..., 2 * n :] + (r * h) @ weight[..., 2 * n :])
        outputs.append(h)
    return torch.stack(outputs, 1)


def fast_lstm(phi, u, h, c, weight, **given):
    return scans.lstm(u, h, c, weight, phi, **given)


def loop_lstm(phi, u, h, c, weight):
    outputs = []
    for u_t in u.unbind(1):
        i, f, o, g = (u_t + h @ weight).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * phi(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, 1), c


# Both forms, gates and states.
RECURRENCES = {
    "elman": elman(),
    "elman_with_carry": elman(carry=CARRY),
    "elman_with_gamma": elman(gamma=0.3),
    "elman_with_both": elman(carry=CARRY, gamma=1 - CARRY / 2),
    "ugrnn": (fast_ugrnn, loop_ugrnn, 2, 1),
    "gru": (fast_gru, loop_gru, 3, 1),
    "lstm": (fast_lstm, loop_lstm, 4, 2),
}
every_recurrence = pytest.mark.parametrize("name", RECURRENCES)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(params=[1, 1 << 18], ids=["a step a block", "one block"], autouse=True)
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(common, "BLOCK_BYTES", request.param)


def arguments(name, kind, dtype=torch.float64):
    """u, initial states, weight, all of them leaves, and the nonlinearity."""
    _, _, gates, states = RECURRENCES[name]
    nonlinearity, lanes = KINDS[kind]
    generator = torch.Generator().manual_seed(1)
    shapes = [
        (lanes, TIME, BATCH, gates * HIDDEN),
        *[(lanes, BATCH, HIDDEN)] * states,
        (lanes, HIDDEN, gates * HIDDEN),
    ]
    tensors = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    phi = Nonlinearity(nonlinearity, like=tensors[0])
    return [tensor.requires_grad_() for tensor in tensors], phi


def fast(name, tensors, phi, **given):
    """The recurrence as a cell calls it: columns scaled, u its own to consume."""
    u, *states, weight = tensors
    columns = torch.ones(1, 1, u.shape[-1], dtype=u.dtype).repeat(u.shape[0], 1, 1)
    columns[..., -HIDDEN:] = phi.scale
    u, weight = u * columns.unsqueeze(1), weight * columns
    outputs = RECURRENCES[name][0](phi, u, *states, weight, **given)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def loop(name, tensors, phi):
    outputs = RECURRENCES[name][1](phi, *tensors)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def close(own, expected, atol=1e-12):
    for a, b in zip(own, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


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
@every_kind
def test_gradients_are_those_of_finite_differences(name, kind):
    tensors, phi = arguments(name, kind)
    assert torch.autograd.gradcheck(lambda *given: fast(name, given, phi), tensors)
