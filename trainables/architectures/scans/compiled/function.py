"""Connect compiled recurrences to autograd: one function runs a stack of layers over time."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.scans.compiled.loop import Array, Recurrence, steps_at_a_time
from trainables.architectures.scans.inputs import Inputs


class Layer(NamedTuple):
    """Holds the tensors of one layer: lanes ``L``, hidden units ``H``, gates ``G``, states ``S``.

    Attributes:
        input_weight: input weight ``[L, inputs, G * H]``; None: the inputs are already projected
            and their memory is overwritten.
        bias: bias ``[L, G * H]``; None where ``input_weight`` is.
        offset: constant ``[L, G * H]`` that is added to the bias; None: zero.
        weight: recurrent weight ``[L, H, G * H]``.
        starts: initial states, either ``S`` tensors ``[L, B, H]`` or a single ``[L, S * H]`` that
            all samples share.
        codes: code of each lane's nonlinearity, ``[L]``.
        constants: constants of the recurrence ``[constants, L, H]``; None: it has none.
    """

    input_weight: Tensor | None
    bias: Tensor | None
    offset: Tensor | None
    weight: Tensor
    starts: tuple[Tensor, ...]
    codes: Array
    constants: Tensor | None = None


def run(
    recurrence: Recurrence, x: Tensor, layers: Sequence[Layer], first: int = 0
) -> tuple[Tensor, ...]:
    """Run a stack of layers over time; the output of a layer is the input of the next one.

    The package :mod:`.scans` describes the conventions.

    Args:
        recurrence: compiled loops of the layers' kind.
        x: inputs of the first layer ``[L, T, B, inputs]``.
        layers: layers, the lowest one first.
        first: first time step whose output is returned.

    Returns:
        The outputs of the last layer ``[L, T - first, B, H]``, then for each layer its states after
        the last step ``[S, L, B, H]``.

    Raises:
        ValueError: shapes or number formats of inputs, states and weights do not fit each other.
    """
    tensors = [
        tensor
        for layer in layers
        for tensor in (layer.input_weight, layer.bias, layer.weight, *layer.starts)
    ]
    results: tuple[Tensor, ...] = _Run.apply(  # type: ignore[no-untyped-call]
        recurrence, layers, first, x, *tensors
    )
    return results


def layer(
    recurrence: Recurrence,
    inputs: Inputs,
    starts: tuple[Tensor, ...],
    weight: Tensor,
    codes: Array,
    constants: Tensor | None = None,
    *,
    first: int,
) -> tuple[Tensor, ...]:
    """Run one layer over time; see :func:`run`.

    Args:
        recurrence: compiled loops of the layer's kind.
        inputs: inputs of the layer, with their weight and bias.
        starts: initial states; see :class:`Layer`.
        weight: recurrent weight ``[L, H, G * H]``.
        codes: code of each lane's nonlinearity, ``[L]``.
        constants: constants of the recurrence ``[constants, L, H]``; None: it has none.
        first: first time step whose output is returned.

    Returns:
        The outputs ``[L, T - first, B, H]`` and the states after the last step ``[S, L, B, H]``.

    Raises:
        ValueError: shapes or number formats of inputs, states and weights do not fit each other.
    """
    x, input_weight, bias, offset = inputs.by_step()
    only = Layer(input_weight, bias, offset, weight, starts, codes, constants)
    return run(recurrence, x, [only], first)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        recurrence: Recurrence,
        layers: Sequence[Layer],
        first: int,
        x: Tensor,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:
        kept: list[Tensor] = []
        finals: list[Tensor] = []
        _, time, batch, _ = x.shape
        for layer in layers:
            weight, bias, offset = layer.weight.contiguous(), layer.bias, layer.offset
            input_weight, constants = layer.input_weight, layer.constants
            lanes, n, columns = weight.shape
            start = _spread(layer.starts, lanes, batch, n)
            given = (x, start, layer.weight, layer.input_weight, layer.bias, layer.offset)
            _check(recurrence.gates, recurrence.states, *map(_format, given))
            if input_weight is None or bias is None:
                values = x.detach().contiguous()
                x, input_weight, bias = values[..., :0], weight[:, :0], weight[:, 0, :0]
            else:
                values = weight.new_empty(lanes, time, batch, columns)
                # A stride of zero says that all lanes share their inputs: one copy is enough.
                x = (x if x.stride(0) else x[:1]).contiguous()
            if offset is None:
                offset = torch.zeros_like(bias)
            if constants is None:
                constants = weight.new_empty(0, lanes, n)
            # Without constants, the values of a single gate are the states: they share memory.
            if columns == n and not len(constants):
                states = values.unsqueeze(0)
            else:
                states = values.new_empty(len(start), lanes, time, batch, n)
            input_weight = input_weight.contiguous()
            inputs = map(_array, (x, input_weight, bias.contiguous(), offset, weight))
            rest = map(Tensor.numpy, (constants, start, values, states))
            recurrence.forward(*inputs, layer.codes, *rest)
            kept += x, input_weight, weight, constants, start, values, states
            finals.append(states[:, :, -1])
            x = states[0]
        ctx.recurrence = recurrence
        ctx.codes = [layer.codes for layer in layers]
        ctx.learned = [layer.starts[0].dim() == 2 for layer in layers]
        ctx.x_wanted = ctx.needs_input_grad[3]
        ctx.save_for_backward(*kept)
        ctx.set_materialize_grads(False)
        return x[:, first:], *finals

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor | None, *of_finals: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        kept = ctx.saved_tensors
        results: list[Tensor | None] = []
        for index in range(len(ctx.codes) - 1, -1, -1):
            x, input_weight, weight, constants, start, values, states = kept[
                7 * index : 7 * index + 7
            ]
            lanes, time, batch, columns = values.shape
            dstates = torch.zeros_like(start)
            if gradient is not None and gradient.shape[1]:
                dstates[0] = gradient[:, -1]
            if (of_final := of_finals[index]) is not None:
                dstates += of_final
            if gradient is None:
                gradient = states[0, :, :0]
            projected = not x.shape[-1]
            dx_wanted = not projected and (index > 0 or ctx.x_wanted)
            room = (lanes, time) if projected else (1, min(time, steps_at_a_time(batch)))
            dz = values.new_empty(*room, batch, columns)
            dx = values.new_empty(lanes, time, batch, x.shape[-1] if dx_wanted else 0)
            d_input_weight, dw = torch.empty_like(input_weight), torch.empty_like(weight)
            d_bias = weight.new_empty(lanes, columns)
            before = map(_array, (x, input_weight, weight.mT.contiguous()))
            after = (constants, start, values, states, gradient.contiguous(), dstates)
            sums = (dz, dx, d_input_weight, d_bias, dw)
            ctx.recurrence.backward(*before, ctx.codes[index], *map(Tensor.numpy, (*after, *sums)))
            of_inputs = (None, None) if projected else (d_input_weight, d_bias)
            of_starts = dstates.unbind(0)
            if ctx.learned[index]:
                of_starts = (dstates.sum(2).transpose(0, 1).flatten(1),)
            results[:0] = *of_inputs, dw, *of_starts
            gradient = dz if projected else dx
        return None, None, None, gradient if ctx.x_wanted else None, *results


@lru_cache(maxsize=1024)
def _check(gates: int, states: int, *parts: tuple[torch.Size, torch.dtype] | None) -> None:
    """Raise ValueError unless shapes and number formats fit: compiled loops do not check them.

    Args:
        gates: number of gates of the recurrence.
        states: number of states of the recurrence.
        *parts: shape and number format of the inputs, the initial states, the recurrent weight, the
            input weight, the bias and the constant that is added to the bias; None where there is
            no such tensor.

    Raises:
        ValueError: they do not fit each other.
    """
    (x, _), (start, _), (weight, number), *optional = (part or (None, None) for part in parts)
    assert x is not None and start is not None and weight is not None
    lanes, n, columns = weight
    width = columns if optional[0][0] is None else optional[0][0][1]
    if (x[0], x[3]) != (lanes, width) or start != (states, lanes, x[2], n):
        raise ValueError(
            f"inputs {list(x)} and states {list(start)} are not those of {lanes} lanes of {n} "
            f"units with {width} inputs and {states} states"
        )
    expected = (lanes, width, columns), (lanes, columns), (lanes, columns)
    given = [(shape, right) for (shape, _), right in zip(optional, expected, strict=True) if shape]
    if columns != gates * n or any(shape != right for shape, right in given):
        raise ValueError(
            f"weights and biases {[list(shape) for shape, _ in given]} beside a recurrent weight "
            f"{list(weight)} are not those of {gates} gates"
        )
    if any(part is not None and part[1] != number for part in parts):
        formats = [str(part[1]) for part in parts if part is not None]
        raise ValueError(f"inputs, states and weights are {', '.join(formats)}")


def _format(tensor: Tensor | None) -> tuple[torch.Size, torch.dtype] | None:
    return None if tensor is None else (tensor.shape, tensor.dtype)


def _spread(starts: tuple[Tensor, ...], lanes: int, batch: int, n: int) -> Tensor:
    """Return the initial states of all samples ``[S, L, B, H]``, in new memory."""
    if starts[0].dim() == 3:
        return torch.stack(starts)
    parts = starts[0].view(lanes, -1, 1, n).transpose(0, 1)
    return parts.expand(-1, -1, batch, -1).contiguous()


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().numpy()
    return array
