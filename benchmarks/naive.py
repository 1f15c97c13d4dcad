"""Implements every architecture as a Python loop over torch.nn modules: the plain way to write it.

These are the peers in the benchmark of training steps (``training.py``). A layer's ``step`` maps
the input and state of one time step to its output and next state. Biases, initial states and widths
are those of PyTorch.
"""

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class Layer(nn.Module):
    """A layer that computes ``gates`` affine maps of input and state side by side.

    Attributes:
        gates: number of the maps.
        states: number of tensors of its state.
        n: hidden width.
        readout_layers: hidden layers of the network's readout.
    """

    gates = 1
    states = 1
    readout_layers = 0

    def __init__(self, inputs: int, n: int) -> None:
        super().__init__()
        self.n = n
        self.from_input = nn.Linear(inputs, self.gates * n)
        self.from_state = nn.Linear(n, self.gates * n)

    def z(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """Return the ``gates`` maps of input and state, ``[batch, n]`` each."""
        maps: Tensor = self.from_input(x) + self.from_state(h)
        return maps.chunk(self.gates, -1)

    def start(self, batch: int) -> State:
        return (torch.zeros(batch, self.n),) * self.states

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        raise NotImplementedError


class OfCell(Layer):
    """A layer that runs one of PyTorch's own cells."""

    cell: type[nn.Module] = nn.RNNCell

    def __init__(self, inputs: int, n: int) -> None:
        nn.Module.__init__(self)
        self.n = n
        self.inner = self.cell(inputs, n)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = self.inner(x, state[0])
        return h, (h,)


class IRNN(OfCell):
    def __init__(self, inputs: int, n: int) -> None:
        super().__init__(inputs, n)
        self.inner = nn.RNNCell(inputs, n, nonlinearity="relu")
        nn.init.eye_(self.inner.weight_hh)


class GRU(OfCell):
    cell = nn.GRUCell


class LSTM(OfCell):
    cell = nn.LSTMCell
    states = 2

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = self.inner(x, state)
        return h, (h, c)


class LinearRNN(Layer):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = self.z(x, *state)
        return h, (h,)


class UGRNN(Layer):
    gates = 2

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        update, candidate = self.z(x, *state)
        g = torch.sigmoid(update)
        h = g * state[0] + (1 - g) * torch.tanh(candidate)
        return h, (h,)


class URLSTM(Layer):
    gates, states = 4, 2

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        f, r, o, candidate = self.z(x, h)
        f, r, o = torch.sigmoid(f), torch.sigmoid(r), torch.sigmoid(o)
        g = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
        c = g * c + (1 - g) * torch.tanh(candidate)
        h = o * torch.tanh(c)
        return h, (h, c)


class Intersection(Layer):
    gates = 4

    def __init__(self, inputs: int, n: int) -> None:
        super().__init__(n, n)
        self.widen = nn.Linear(inputs, n) if inputs != n else nn.Identity()

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        x = self.widen(x)
        y, h, y_gate, h_gate = self.z(x, *state)
        y_gate, h_gate = torch.sigmoid(y_gate), torch.sigmoid(h_gate)
        y = y_gate * x + (1 - y_gate) * torch.relu(y)
        return y, (h_gate * state[0] + (1 - h_gate) * torch.tanh(h),)


class SecondOrder(Layer):
    def __init__(self, inputs: int, n: int) -> None:
        super().__init__(inputs, n)
        self.products = nn.Bilinear(inputs, n, n, bias=False)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(self.products(x, *state) + self.from_input(x) + self.from_state(*state))
        return h, (h,)


class CPRNN(Layer):
    rank = 8

    def __init__(self, inputs: int, n: int) -> None:
        super().__init__(inputs, n)
        self.a, self.b = nn.Linear(n, self.rank, bias=False), nn.Linear(inputs, self.rank, False)
        self.c = nn.Linear(self.rank, n, bias=False)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        second_order = self.c(self.a(*state) * self.b(x))
        h = torch.tanh(second_order + self.from_input(x) + self.from_state(*state))
        return h, (h,)


class MIRNN(Layer):
    def __init__(self, inputs: int, n: int) -> None:
        super().__init__(inputs, n)
        self.alpha, self.beta1, self.beta2 = (nn.Parameter(torch.ones(n)) for _ in range(3))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        u, v = self.from_input(x), self.from_state(*state)
        h = torch.tanh(self.alpha * v * u + self.beta1 * v + self.beta2 * u)
        return h, (h,)


class DeepTransition(Layer):
    def __init__(self, inputs: int, n: int) -> None:
        super().__init__(inputs, n)
        self.upper = nn.Linear(n, n)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(self.upper(torch.tanh(*self.z(x, *state))))
        return h, (h,)


class DeepTransitionSkip(DeepTransition):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = state[0] + super().step(x, state)[0]
        return h, (h,)


class DeepTransitionShortcut(DeepTransition):
    def __init__(self, inputs: int, n: int) -> None:
        super().__init__(inputs, n)
        self.shortcut = nn.Linear(n, n, bias=False)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(self.upper(torch.tanh(*self.z(x, *state))) + self.shortcut(*state))
        return h, (h,)


class DeepTransitionMLP(Layer):
    readout_layers = 2

    def __init__(self, inputs: int, n: int) -> None:
        super().__init__(inputs, n)
        self.above_input, self.above_state = nn.Linear(n, n), nn.Linear(n, n)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        from_input = torch.tanh(self.above_input(torch.tanh(self.from_input(x))))
        h = torch.tanh(self.above_state(torch.tanh(self.from_state(*state)))) + from_input
        return h, (h,)


class WeaklyCoupled(Layer):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = state[0] + 0.05 * torch.tanh(*self.z(x, *state))
        return h, (h,)


class S4D(nn.Module):
    """A layer that computes the diagonal recurrence of S4D step by step."""

    pairs = 32

    def __init__(self, inputs: int, n: int) -> None:
        super().__init__()
        self.n = n
        self.widen = nn.Linear(inputs, n) if inputs != n else nn.Identity()
        self.log_step = nn.Parameter(torch.full((n, 1), -4.0))
        self.log_real = nn.Parameter(torch.full((n, self.pairs), -0.7))
        self.imaginary = nn.Parameter(torch.pi * torch.arange(1.0, self.pairs + 1).repeat(n, 1))
        self.c_real, self.c_imaginary = (nn.Parameter(torch.randn(n, self.pairs)) for _ in "ri")
        self.d, self.mix = nn.Parameter(torch.randn(n)), nn.Linear(n, 2 * n)

    def start(self, batch: int) -> State:
        return (torch.zeros(batch, self.n, self.pairs, dtype=torch.complex64),)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        x = self.widen(x)
        a = torch.complex(-self.log_real.exp(), self.imaginary)
        decay = torch.exp(a * self.log_step.exp())
        c = 2 * torch.complex(self.c_real, self.c_imaginary) * (decay - 1) / a
        v = decay * state[0] + x.unsqueeze(-1)
        y = (c * v).real.sum(-1) + self.d * x
        return nn.functional.glu(self.mix(nn.functional.gelu(y)), -1), (v,)


LAYERS: dict[str, type[Layer] | type[S4D]] = {
    "rnn": OfCell,
    "irnn": IRNN,
    "linear_rnn": LinearRNN,
    "ugrnn": UGRNN,
    "gru": GRU,
    "lstm": LSTM,
    "ur_lstm": URLSTM,
    "intersection": Intersection,
    "second_order": SecondOrder,
    "cprnn": CPRNN,
    "mirnn": MIRNN,
    "deep_transition": DeepTransition,
    "deep_transition_skip": DeepTransitionSkip,
    "deep_transition_shortcut": DeepTransitionShortcut,
    "deep_transition_mlp": DeepTransitionMLP,
    "wcrnn": WeaklyCoupled,
    "elman": OfCell,
    "s4d": S4D,
}


class Network(nn.Module):
    """A network of ``depth`` layers, one after the other, and a readout."""

    def __init__(self, name: str, inputs: int, n: int, depth: int, outputs: int) -> None:
        super().__init__()
        layer = LAYERS[name]
        self.layers = nn.ModuleList(layer(i, n) for i in [inputs] + [n] * (depth - 1))
        count = layer.readout_layers if issubclass(layer, Layer) else 0
        self.readout_layers = nn.ModuleList(nn.Linear(n, n) for _ in range(count))
        self.readout = nn.Linear(n, outputs)

    def forward(self, x: Tensor, first: int) -> Tensor:
        """Run over ``x [time, batch, inputs]``; return ``[time - first, batch, outputs]``.

        These are the outputs from time step ``first`` on.
        """
        for layer in self.layers:
            assert isinstance(layer, Layer | S4D)
            state, outputs = layer.start(x.shape[1]), []
            for x_t in x.unbind(0):
                output, state = layer.step(x_t, state)
                outputs.append(output)
            x = torch.stack(outputs)
        x = x[first:]
        for readout_layer in self.readout_layers:
            x = torch.tanh(readout_layer(x))
        readout: Tensor = self.readout(x)
        return readout
