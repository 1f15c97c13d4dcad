"""A stack of recurrent layers with a readout."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainables import space
from trainables.architectures import initialization
from trainables.architectures.cell import Cell, State
from trainables.space import Configuration, Space

READOUT_SPACE: Space = {
    "readout_scale": space.RECTANGULAR_SCALE,
    "readout_bias_scale": space.BIAS_SCALE,
}


class Network(nn.Module):
    """``depth`` layers of one cell class; each sees the current output of the layer below.

    Parameters are those of ``layers.0`` up to ``layers.<depth - 1>`` (see :class:`Cell`), then
    ``readout_weight [lanes, hidden, outputs]`` and ``readout_bias [lanes, outputs]``.
    """

    def __init__(
        self,
        cell: type[Cell],
        *,
        inputs: int,
        outputs: int,
        hidden: int,
        depth: int,
        lanes: int,
        options: Any,
        **factory: Any,
    ) -> None:
        super().__init__()
        self.lanes = lanes
        widths = [inputs] + [hidden] * (depth - 1)
        self.layers = nn.ModuleList(
            cell(lanes, width, hidden, options, **factory) for width in widths
        )
        self.readout_weight = nn.Parameter(torch.empty(lanes, hidden, outputs, **factory))
        self.readout_bias = nn.Parameter(torch.empty(lanes, outputs, **factory))

    def parameter_count(self) -> int:
        """Trained numbers of one lane: all layers, readout and learned initial states."""
        return sum(parameter.numel() for parameter in self.parameters()) // self.lanes

    def initialize(
        self, configurations: Sequence[Configuration], generators: Sequence[torch.Generator]
    ) -> None:
        """Draw all parameters: lane i is a pure function of its configuration and generator.

        A configuration without ``readout_scale`` gets the readout of ``torch.nn.Linear``.
        """
        for layer in self.layers:
            assert isinstance(layer, Cell)
            layer.initialize(configurations, generators)
        with torch.no_grad():
            for lane, (configuration, generator) in enumerate(
                zip(configurations, generators, strict=True)
            ):
                weight, bias = self.readout_weight[lane], self.readout_bias[lane]
                if "readout_scale" not in configuration:
                    initialization.default_linear(weight, weight.shape[0], generator)
                    initialization.default_linear(bias, weight.shape[0], generator)
                    continue
                initialization.rectangular(weight, float(configuration["readout_scale"]), generator)
                kind = str(configuration["bias_distribution"])
                scale = float(configuration["readout_bias_scale"])
                initialization.bias(bias, kind, scale, generator)

    def forward(
        self, x: Tensor, states: Sequence[State] | None = None, first_output: int = 0
    ) -> tuple[Tensor, list[State]]:
        """Run over ``x [lanes, time, batch, inputs]``.

        Args:
            states: one a layer, from an earlier call, or None for the learned initial states.
            first_output: the readout is computed from this time step on.

        Returns:
            Outputs ``[lanes, time - first_output, batch, outputs]`` and the final states.
        """
        finals = []
        for index, layer in enumerate(self.layers):
            x, final = layer(x, None if states is None else states[index])
            finals.append(final)
        x = x[:, first_output:]
        lanes, time, batch, hidden = x.shape
        flat = torch.baddbmm(
            self.readout_bias.unsqueeze(1),
            x.reshape(lanes, time * batch, hidden),
            self.readout_weight,
        )
        return flat.view(lanes, time, batch, -1), finals
