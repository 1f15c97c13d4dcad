"""Finds the hidden width that a parameter budget allows, by counting the real network.

Networks are built on torch's meta device, which allocates no memory for their parameters. One that
was counted is not built again: cells that differ in depth and budget share most of them.
"""

import bisect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from trainables.architectures import (
    Impossible,
    Layer,
    Network,
    check_options,
    find,
    require_depth,
)


@dataclass(frozen=True)
class Size:
    """Holds the hidden width that a parameter budget allows.

    Attributes:
        hidden: hidden width, the number of units of each layer.
        parameters: parameter count of a network of this width.
        unrounded: largest width within the budget if the width did not have to be a multiple of a
            number (architectures that rotate pairs of units need an even width); equal to
            ``hidden`` where any width is possible.
    """

    hidden: int
    parameters: int
    unrounded: int


def count(
    name: str, *, inputs: int, outputs: int, hidden: int, depth: int, options: Mapping[str, Any]
) -> int:
    """Return the parameter count of a network: all layers, readout and learned initial states.

    Args:
        name: registered name or dotted path of the architecture.
        inputs: number of input features at each time step.
        outputs: number of output features of the readout.
        hidden: hidden width of each layer.
        depth: number of layers.
        options: options of the architecture.
    """
    text = json.dumps(options, sort_keys=True)
    return _count(find(name), name, text, inputs, outputs, hidden, depth)


def _count(
    layer: type[Layer], name: str, options: str, inputs: int, outputs: int, hidden: int, depth: int
) -> int:
    # All layers above the first are alike: build one of them, and count it as often as needed.
    built = max(2, layer.minimal_depth)
    kind: Any = layer  # mypy takes the hash of a layer for that of its class
    counted, upper = _counted(kind, name, options, inputs, outputs, hidden, built)
    return counted + (depth - built) * upper


@lru_cache(maxsize=100_000)
def _counted(
    layer: Any, name: str, options: str, inputs: int, outputs: int, hidden: int, depth: int
) -> tuple[int, int]:
    """Return the parameter counts of a network that is built, and of its last layer."""
    network = Network(
        layer,
        inputs=inputs,
        outputs=outputs,
        hidden=hidden,
        depth=depth,
        lanes=1,
        options=_checked(layer, name, options),
        device=torch.device("meta"),
    )
    upper = sum(parameter.numel() for parameter in network.layers[-1].parameters())
    return network.parameter_count(), upper


@lru_cache(maxsize=1000)
def _checked(layer: type[Layer], name: str, options: str) -> Any:
    """Return an instance of the options of an architecture, whose class is ``layer``."""
    return check_options(name, json.loads(options))


def solve(
    name: str, *, inputs: int, outputs: int, depth: int, options: Mapping[str, Any], budget: int
) -> Size:
    """Return the largest width whose parameter count does not exceed ``budget``.

    The number of networks that are counted grows with the logarithm of the width. Beyond the powers
    of two, which cells share, it is two or three where the count is a polynomial in the width, as
    it is for every registered architecture.

    Args:
        name: registered name or dotted path of the architecture.
        inputs: number of input features at each time step.
        outputs: number of output features of the readout.
        depth: number of layers.
        options: options of the architecture.
        budget: largest parameter count that is allowed.

    Raises:
        Impossible: the architecture does not exist at this depth, or its smallest network exceeds
            the budget; the message then names the smallest sufficient budget.
    """
    require_depth(name, depth)
    layer: Any = find(name)
    text = json.dumps(options, sort_keys=True)
    multiple = layer.width_multiple(_checked(layer, name, text))

    def parameters(hidden: int) -> int:
        return _count(layer, name, text, inputs, outputs, hidden, depth)

    smallest = parameters(multiple)
    if smallest > budget:
        units = "one unit" if multiple == 1 else f"{multiple} units"
        raise Impossible(
            f"a budget of {budget:,} is too small for {units}: "
            f"the smallest that would do is {smallest:,}"
        )
    # Widths in units of ``multiple``: low fits the budget; high is doubled until it does not.
    low, high = 1, 2
    while parameters(high * multiple) <= budget:
        low, high = high, 2 * high
    # The width that the counts at powers of two lead to is tried first, so that few are left.
    powers = [width for width in (high, low, low // 2, low // 4) if 0 < width * multiple != inputs]
    counts = {width: parameters(width * multiple) for width in powers}
    likely = low + bisect.bisect_right(
        range(low + 1, high), budget, key=lambda width: _interpolated(counts, width)
    )
    probes = [likely + 1, likely]
    while high - low > 1:
        probe = probes.pop() if probes else (low + high) // 2
        if low < probe < high:
            low, high = (probe, high) if parameters(probe * multiple) <= budget else (low, probe)
    hidden = low * multiple
    # More units need more parameters, with one exception: layers that project their input to the
    # hidden width need no projection where the two widths are equal.
    if hidden < inputs and inputs % multiple == 0 and parameters(inputs) <= budget:
        hidden = inputs
    unrounded = hidden
    while unrounded + 1 < hidden + multiple and parameters(unrounded + 1) <= budget:
        unrounded += 1
    return Size(hidden, parameters(hidden), unrounded)


def _interpolated(counts: Mapping[int, int], width: int) -> int:
    """Return the value at a width of the polynomial through some counts (Lagrange's formula)."""
    value = 0.0
    for here, counted in counts.items():
        term = float(counted)
        for other in counts.keys() - {here}:
            term *= (width - other) / (here - other)
        value += term
    return round(value)
