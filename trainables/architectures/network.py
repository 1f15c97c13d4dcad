"""Stack recurrent layers into a network with an affine or deep readout."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainables import space
from trainables.architectures import initialization
from trainables.architectures.layer import Layer, State, parameter_list
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.products import affine
from trainables.space import Configuration, Space

READOUT_SPACE: Space = {
    "readout_scale": space.RECTANGULAR_SCALE,
    "readout_bias_scale": space.BIAS_SCALE,
}


class Network(nn.Module):
    """A network stacks ``depth`` layers of one class and maps the top layer's output to a readout.

    At each time step a layer sees the output of the layer below at the same time step.

    The parameters are those of ``layers.0`` up to ``layers.<depth - 1>`` (see :class:`.Cell`),
    ``readout_weight [lanes, hidden, outputs]`` and ``readout_bias [lanes, outputs]``. An
    architecture with a deep readout adds hidden layers before the affine readout, with the
    nonlinearity of the top layer: ``readout_layer_weights.<m> [lanes, hidden, hidden]`` and
    ``readout_layer_biases.<m> [lanes, hidden]``. It may add their input to their output.

    Args:
        layer: class of the layers.
        inputs: number of features of the input at each time step.
        outputs: number of features of the readout at each time step.
        hidden: hidden width, the number of units in each layer.
        depth: number of layers.
        lanes: number of independent networks of the same shape.
        options: an instance of the layer's ``Options``.
        **factory: ``device`` and ``dtype`` of the parameters, as in torch.
    """

    def __init__(
        self,
        layer: type[Layer],
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
            layer(lanes, width, hidden, options, **factory) for width in widths
        )
        self._act, self._skip = Nonlinearity(options.act), options.skip
        self._layer, self._plain = layer, options.act == "identity" and not options.skip
        deep = layer.readout_hidden_layers(options)
        self._readout_residual = layer.readout_residual(options)
        self.readout_layer_weights = parameter_list(deep, lanes, hidden, hidden, **factory)
        self.readout_layer_biases = parameter_list(deep, lanes, hidden, **factory)
        self.readout_weight = nn.Parameter(torch.empty(lanes, hidden, outputs, **factory))
        self.readout_bias = nn.Parameter(torch.empty(lanes, outputs, **factory))

    def parameter_count(self) -> int:
        """Return the parameter count of one lane: all layers, readout, learned initial states."""
        return sum(parameter.numel() for parameter in self.parameters()) // self.lanes

    def initialize(
        self,
        configurations: Sequence[Configuration],
        generators: Sequence[torch.Generator],
        constants: Sequence[torch.Generator] | None = None,
    ) -> None:
        """Draw all parameters and constants of all lanes.

        Lane i depends on configuration i and generators i alone. If a configuration has no
        ``readout_scale``, its readout is initialised as in ``torch.nn.Linear``.

        Args:
            configurations: configuration of each lane.
            generators: random generator of each lane.
            constants: random generator of each lane for what is not trained, such as a residual
                matrix. Networks that differ in such constants alone then have the same parameters.
                By default ``generators``.
        """
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.initialize(configurations, generators, constants)
        with torch.no_grad():
            for lane, (configuration, generator) in enumerate(
                zip(configurations, generators, strict=True)
            ):
                self._draw_readout(lane, configuration, generator)

    def _draw_readout(
        self, lane: int, configuration: Configuration, generator: torch.Generator
    ) -> None:
        for hidden_weight, hidden_bias in self._readout_layers():
            name = "readout_layer"
            initialization.square_of(name, hidden_weight[lane], configuration, generator)
            initialization.bias_of(name, hidden_bias[lane], configuration, generator)
        weight, bias = self.readout_weight[lane], self.readout_bias[lane]
        if "readout_scale" in configuration:
            initialization.rectangular_of("readout", weight, configuration, generator)
            initialization.bias_of("readout", bias, configuration, generator)
        else:
            initialization.default_linear(weight, weight.shape[0], generator)
            initialization.default_linear(bias, weight.shape[0], generator)

    def _readout_layers(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Return weight and bias of each hidden layer of the readout."""
        return zip(self.readout_layer_weights, self.readout_layer_biases, strict=True)

    def forward(
        self, x: Tensor, states: Sequence[State] | None = None, first_output: int = 0
    ) -> tuple[Tensor, list[State]]:
        """Run the network over a sequence.

        Args:
            x: inputs ``[lanes, time, batch, inputs]``.
            states: state of each layer, from an earlier call, or None for the learned initial
                states.
            first_output: first time step whose readout is computed.

        Returns:
            Outputs ``[lanes, time - first_output, batch, outputs]`` and the state of each layer
            after the last step.
        """
        x, finals = self._run_layers(x, states, first_output)
        return self.read_out(x), finals

    def read_out(self, x: Tensor) -> Tensor:
        """Map what the top layer passes on to the outputs of the network.

        Args:
            x: numbers that the top layer passes on, ``[lanes, time, batch, hidden]``.

        Returns:
            Outputs ``[lanes, time, batch, outputs]``.
        """
        below = x
        for weight, bias in self._readout_layers():
            top = self.layers[-1]
            assert isinstance(top, Layer)
            x = top.s(affine(x, weight, bias))
        if self._readout_residual:
            x = x + below
        return affine(x, self.readout_weight, self.readout_bias)

    def pass_on(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """Return what a layer passes on to the layer above or to the readout.

        Args:
            index: number of the layer, from 0.
            x: input of the layer, ``[lanes, time, batch, features]``.
            output: output of the layer at the same time steps, ``[lanes, time, batch, hidden]``.

        Returns:
            The output after ``act`` and ``skip`` (see :class:`.layer.StackOptions`).
        """
        output = self._act(output)
        return output + x if self._skip and index > 0 else output

    def layer_inputs(self, x: Tensor) -> list[Tensor]:
        """Return the input sequence of each layer.

        Args:
            x: inputs of the network, ``[lanes, time, batch, inputs]``.

        Returns:
            The inputs of each layer, ``[lanes, time, batch, features]``, the lowest layer first.
        """
        inputs = [x]
        for index, layer in enumerate(self.layers[:-1]):
            output, _ = layer(inputs[-1])
            inputs.append(self.pass_on(index, inputs[-1], output))
        return inputs

    def _run_layers(
        self, x: Tensor, states: Sequence[State] | None, first_output: int
    ) -> tuple[Tensor, list[State]]:
        """Return the input of the readout and the final state of each layer."""
        if self._plain:
            layers = [layer for layer in self.layers if isinstance(layer, Layer)]
            result = self._layer.run_all(layers, x, states, first_output)
            if result is not None:
                return result
        finals = []
        for index, layer in enumerate(self.layers):
            first = first_output if index == len(self.layers) - 1 else 0
            output, final = layer(x, None if states is None else states[index], first)
            x = self.pass_on(index, x[:, first:], output)
            finals.append(final)
        return x, finals
