"""Run LSTM layers by PyTorch's fused kernel, which is cuDNN's on a GPU.

One call runs all layers of one lane. On a CPU the kernel would be oneDNN's, which is no faster than
a compiled loop.
"""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from trainables.architectures.derivatives import second_wanted


def pays(x: Tensor) -> bool:
    """Return whether the fused kernel is faster than a loop over time, for inputs on the device.

    It has no second derivative.
    """
    return x.is_cuda and not second_wanted()


def lstm(
    x: Tensor, h: Tensor, c: Tensor, layers: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run all LSTM layers over time: i, f, o = sigma(.), c' = f c + i tanh(.), h' = o tanh(c').

    Args:
        x: inputs ``[lanes, time, batch, inputs]``.
        h: initial states ``[layers, lanes, batch, hidden]``.
        c: initial cells ``[layers, lanes, batch, hidden]``.
        layers: four tensors of each layer: the input weight ``[lanes, inputs, 4 * hidden]``, the
            recurrent weight ``[lanes, hidden, 4 * hidden]``, the bias ``[lanes, 4 * hidden]`` and a
            constant ``[lanes, 4 * hidden]`` that is added to the bias. Columns are those of the
            input gate, forget gate, candidate and output gate.

    Returns:
        The states of the last layer at all time steps ``[lanes, time, batch, hidden]``, the final
        states and the final cells of all layers, both ``[layers, lanes, batch, hidden]``.
    """
    results = [
        torch.lstm(
            x_l,
            (h_l, c_l),
            weights,
            has_biases=True,  # torch adds up two biases: here the bias and its constant part
            num_layers=len(layers),
            dropout=0.0,
            train=torch.is_grad_enabled(),
            bidirectional=False,
            batch_first=False,
        )
        for x_l, h_l, c_l, weights in zip(
            _lanes(x), _lanes(h, 1), _lanes(c, 1), _weights(layers), strict=True
        )
    ]
    if len(results) == 1:
        outputs, h, c = results[0]
        return outputs.unsqueeze(0), h.unsqueeze(1), c.unsqueeze(1)
    by_kind = list(zip(*results, strict=True))  # outputs, states and cells of all lanes
    return torch.stack(by_kind[0]), torch.stack(by_kind[1], 1), torch.stack(by_kind[2], 1)


def _weights(layers: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Return the weights of each lane as ``torch.lstm`` takes them: they act from the left."""
    tensors_by_layer = [
        [_lanes(matrix.mT) for matrix in layer[:2]] + [_lanes(bias) for bias in layer[2:]]
        for layer in layers
    ]
    return [list(lane) for lane in zip(*chain.from_iterable(tensors_by_layer), strict=True)]


def _lanes(packed: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Split a tensor into its lanes; neither pass, forward or backward, copies a single lane."""
    return (packed.squeeze(dim),) if packed.shape[dim] == 1 else packed.unbind(dim)
