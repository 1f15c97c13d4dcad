"""PyTorch's own LSTM kernel, all layers of a lane a call: cuDNN's on a GPU, oneDNN's on a CPU."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from trainables.architectures.products import ONEDNN_IS_FASTER

# A call costs a quarter of a millisecond, a loop over time is shared by all lanes: for packs of
# smaller layers than this, batch times hidden, the loop is faster.
LARGE = 1024


def pays(x: Tensor, hidden: int) -> bool:
    """Whether the kernel is there and faster for ``x [lanes, time, batch, inputs]``.

    Where oneDNN is not the fastest library of the processor, a compiled loop is faster.
    """
    lanes, _, batch, _ = x.shape
    there = x.is_cuda or (x.dtype == torch.float32 and ONEDNN_IS_FASTER)
    return there and (lanes == 1 or batch * hidden >= LARGE)


def lstm(
    x: Tensor, h: Tensor, c: Tensor, layers: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Over time i, f, o = sigma(.), c' = f c + i tanh(.), h' = o tanh(c'), all layers in one call.

    Args:
        x: inputs ``[lanes, time, batch, inputs]``.
        h: the initial states ``[layers, lanes, batch, hidden]``.
        c: the initial cells, likewise.
        layers: of each layer the input weight ``[lanes, inputs, 4 * hidden]``, columns input,
            forget, candidate, output, the recurrent weight ``[lanes, hidden, 4 * hidden]``, the
            bias ``[lanes, 4 * hidden]`` and a constant added to the bias.

    Returns:
        The states of the last layer ``[lanes, time, batch, hidden]``, the last states and the last
        cells, both like ``h``.
    """
    lanes = [
        torch.lstm(
            x_l,
            (h_l, c_l),
            weights,
            has_biases=True,  # torch has two
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
    if len(lanes) == 1:
        outputs, h, c = lanes[0]
        return outputs.unsqueeze(0), h.unsqueeze(1), c.unsqueeze(1)
    of_lanes = list(zip(*lanes, strict=True))
    return torch.stack(of_lanes[0]), torch.stack(of_lanes[1], 1), torch.stack(of_lanes[2], 1)


def _weights(layers: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Of each lane what ``torch.lstm`` wants: weights act from the left there."""
    of_layers = [
        [_lanes(matrix.mT) for matrix in layer[:2]] + [_lanes(bias) for bias in layer[2:]]
        for layer in layers
    ]
    return [list(lane) for lane in zip(*chain.from_iterable(of_layers), strict=True)]


def _lanes(packed: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Each lane's own; a lane alone is not copied, neither here nor on the way back."""
    return (packed.squeeze(dim),) if packed.shape[dim] == 1 else packed.unbind(dim)
