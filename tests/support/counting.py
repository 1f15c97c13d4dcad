"""Counts the parameters of networks by closed formulas, which are published ones if there are any.

In these functions ``n`` is the hidden width and ``n_in`` the number of inputs of a layer.
"""

from collections.abc import Mapping
from typing import Any

GATES = {"ugrnn": 2, "gru": 3, "lstm": 4, "ur_lstm": 4}  # number of gates


def vanilla(n: int, n_in: int) -> int:
    """Return the parameter count of one gate: two matrices and a bias."""
    return n * n_in + n * n + n


def layer_parameters(name: str, n: int, n_in: int, options: Mapping[str, Any]) -> int:
    """Return the parameter count of one layer.

    Each gate has one bias. The learned initial state has n numbers for each part of the state.

    Args:
        name: name of the architecture.
        n: hidden width.
        n_in: number of inputs of the layer.
        options: options of the architecture that differ from the defaults.
    """
    match name:
        case "intersection":
            projection = n_in * n + n if n_in != n else 0
            return 4 * (2 * n * n + n) + projection + n
        case "lstm" | "ur_lstm":
            return 4 * vanilla(n, n_in) + 2 * n
        case "second_order":
            return (n + 1) * (n_in + 1) * n + n
        case "cprnn":
            rank: int = options.get("rank", 8)
            return rank * (2 * n + n_in) + vanilla(n, n_in) + n
        case "mirnn":
            return n * n_in + n * n + 4 * n + n
        case "deep_transition" | "deep_transition_skip" | "deep_transition_shortcut":
            transition_depth: int = options.get("transition_depth", 2)
            input_depth: int = options.get("input_depth", 1)
            above = transition_depth - 1
            dense = above + input_depth - 1
            shortcuts = above if name == "deep_transition_shortcut" else 0
            return vanilla(n, n_in) + dense * (n * n + n) + shortcuts * n * n + n
        case "deep_transition_mlp":  # K layers from the state, m from the input, h_0
            square: int = options.get("transition_depth", 2) + options.get("input_depth", 2) - 1
            return square * (n * n + n) + (n_in * n + n) + n
        case "s4d":
            projection = n_in * n + n if n_in != n else 0
            state: int = options.get("state_size", 64)
            # log_step and D; then A and C, both real and imaginary, for half the state size
            channels = 2 * n + 4 * n * (state // 2)
            return projection + channels + 2 * n * n + 2 * n + n * state
        case _:
            return GATES.get(name, 1) * vanilla(n, n_in) + n


def network_parameters(
    name: str,
    n: int,
    depth: int,
    inputs: int,
    outputs: int,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Return the parameter count of a network: its layers, its hidden readout layers, its readout.

    Args:
        name: name of the architecture.
        n: hidden width.
        depth: number of layers.
        inputs: number of inputs of the network.
        outputs: number of outputs of the network.
        options: options of the architecture that differ from the defaults.
    """
    options = options or {}
    layers = layer_parameters(name, n, inputs, options)
    layers += (depth - 1) * layer_parameters(name, n, n, options)
    if name == "deep_transition_mlp":
        before_readout: int = options.get("output_depth", 2)
    else:
        before_readout = options.get("output_depth", 1) - 1
    return layers + before_readout * (n * n + n) + n * outputs + outputs


def width_multiple(options: Mapping[str, Any]) -> int:
    """Return the number that the hidden width is a multiple of: rotations take units by pairs."""
    return 2 if options.get("residual") in ("rotational", "informed") else 1
