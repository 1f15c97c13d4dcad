"""Check that a user's own architecture keeps the rules that registered ones are tested for."""

from collections.abc import Callable

import torch

from trainables.architectures.layer import Layer, StackOptions
from trainables.architectures.network import Network
from trainables.external import LONGEST_REASON, users_code
from trainables.plain_text import fit_text
from trainables.registry import OptionError
from trainables.space import Space, draw, fault_of_space

# Sizes of the tiny network. They and its even hidden width differ, so that swapped axes show.
LANES, TIME, BATCH, INPUTS, OUTPUTS = 3, 4, 5, 7, 1
# Number of drawn configurations: enough to have conditional hyperparameters active and inactive.
CONFIGURATIONS = 24


def examine(
    path: str, layer: type[Layer], options: StackOptions, space: Callable[[], Space]
) -> None:
    """Build, draw and run a tiny network of a user's architecture before a sweep relies on it.

    Args:
        path: dotted path of the architecture, for the error's text.
        layer: class of the architecture.
        options: an instance of its ``Options``.
        space: function that returns the search space of a network of the architecture.

    Raises:
        OptionError: the user's code raises an exception, the search space is invalid, a parameter
            has no lane axis, is not drawn or is not used, a result has the wrong shape, the same
            input gives two outputs, or lanes influence each other.
    """
    trouble = f"architecture '{path}' does not work"
    with users_code(trouble):
        fault = _fault(layer, options, space())
    if fault:
        raise OptionError(f"{trouble}: {fit_text(fault, LONGEST_REASON)}")


def _fault(layer: type[Layer], options: StackOptions, space: Space) -> str:
    """Return a description of the first rule that is broken, or an empty text."""
    if fault := fault_of_space(space, " of its space"):
        return fault
    multiple = layer.width_multiple(options)
    if not isinstance(multiple, int) or multiple < 1:
        return f"width_multiple is {multiple!r}, but must be a whole number of 1 or more"
    network = Network(
        layer,
        inputs=INPUTS,
        outputs=OUTPUTS,
        hidden=2 * multiple,
        depth=max(2, layer.minimal_depth),
        lanes=LANES,
        options=options,
        dtype=torch.float64,
    )
    parameters = dict(network.named_parameters())
    for name, parameter in parameters.items():
        if parameter.shape[:1] != (LANES,):
            return f"parameter '{name}' is {[*parameter.shape]}, without the leading lane axis"
    for first in range(0, CONFIGURATIONS, LANES):
        for parameter in parameters.values():
            parameter.data.fill_(torch.nan)
        network.initialize(
            [draw(space, "examination", first + lane) for lane in range(LANES)],
            [torch.Generator().manual_seed(lane) for lane in range(LANES)],
        )
        for name, parameter in parameters.items():
            if parameter.isnan().any():
                return f"parameter '{name}' is not drawn: fill it in _draw"
    return _fault_of_shapes(network) or _fault_of_gradients(network)


def _fault_of_shapes(network: Network) -> str:
    layer = network.layers[0]
    assert isinstance(layer, Layer)
    x = torch.ones(LANES, TIME, BATCH, INPUTS, dtype=torch.float64)
    outputs, state = layer(x)
    expected = (LANES, TIME, BATCH, layer.hidden)
    if outputs.shape != expected:
        return f"its outputs over time are {[*outputs.shape]}, but must be {[*expected]}"
    if not isinstance(state, tuple):
        return f"its state is a {type(state).__name__}, but must be a tuple of tensors"
    shapes = [[*part.shape] for part in state]
    expected_shapes = [[LANES, BATCH, width] for width in layer.state_widths]
    if shapes == expected_shapes:
        return ""
    return f"its state is {shapes}, but must be {expected_shapes}"


def _fault_of_gradients(network: Network) -> str:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(LANES, TIME, BATCH, INPUTS, dtype=torch.float64, generator=generator)
    outputs, _ = network(x)
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(outputs.sum(), list(parameters.values()), allow_unused=True)
    for name, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            return f"parameter '{name}' is not used"
    with torch.no_grad():
        if not torch.equal(network(x)[0], outputs):
            return "the same input gives another output the second time"
        x[1] += 1
        for parameter in parameters.values():
            parameter[1] += 0.1
        changed, _ = network(x)
    unchanged = torch.allclose(changed[0], outputs[0], rtol=1e-9, atol=1e-12)
    return "" if unchanged else "its lanes mix: what happens in one changes the outputs of another"
