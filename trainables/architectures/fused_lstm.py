"""PyTorch's own LSTM kernel, one lane at a time: oneDNN's on a CPU, cuDNN's on a GPU."""

import torch
from torch import Tensor

# A call costs a quarter of a millisecond, a loop over time is shared by all lanes: for packs of
# smaller layers than this, batch times hidden, the loop is faster.
LARGE = 1024


def pays(x: Tensor, hidden: int) -> bool:
    """Whether the kernel is there and faster for ``x [lanes, time, batch, inputs]``."""
    lanes, _, batch, _ = x.shape
    there = x.is_cuda or (x.dtype == torch.float32 and torch.backends.mkldnn.is_available())
    return there and (lanes == 1 or batch * hidden >= LARGE)


def lstm(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    input_weight: Tensor,
    recurrent_weight: Tensor,
    bias: Tensor,
    offset: Tensor,
) -> tuple[Tensor, Tensor]:
    """Over time i, f, o = sigma(.), c' = f c + i tanh(.), h' = o tanh(c').

    Args:
        x: inputs ``[lanes, time, batch, inputs]``.
        h: the initial state ``[lanes, batch, hidden]``.
        c: the initial cell, likewise.
        input_weight: ``[lanes, inputs, 4 * hidden]``, columns input, forget, candidate, output.
        recurrent_weight: ``[lanes, hidden, 4 * hidden]``.
        bias: ``[lanes, 4 * hidden]``.
        offset: added to the bias, a constant ``[lanes, 4 * hidden]``.

    Returns:
        The states ``[lanes, time, batch, hidden]`` and the last cell ``[lanes, batch, hidden]``.
    """
    lanes = [
        torch.lstm(
            x_l,
            (h_l, c_l),
            [to_input.mT, to_recurrent.mT, bias_l, offset_l],  # torch has two biases
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=torch.is_grad_enabled(),
            bidirectional=False,
            batch_first=False,
        )
        for x_l, to_input, to_recurrent, bias_l, offset_l, h_l, c_l in zip(
            *map(_lanes, (x, input_weight, recurrent_weight, bias, offset)),
            *(state.contiguous().split(1) for state in (h, c)),
            strict=True,
        )
    ]
    if len(lanes) == 1:
        return lanes[0][0].unsqueeze(0), lanes[0][2]
    return torch.stack([output for output, _, _ in lanes]), torch.cat([c for _, _, c in lanes])


def _lanes(packed: Tensor) -> tuple[Tensor, ...]:
    """Each lane's own; a lane alone is not copied, neither here nor on the way back."""
    return (packed.squeeze(0),) if len(packed) == 1 else packed.unbind(0)
