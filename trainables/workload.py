"""Counts the operations of a training step, from which its time is estimated."""

from dataclasses import dataclass
from typing import Self

from trainables.tasks import Task

# Floating-point operations per product of a number with a weight. A forward pass takes two (a
# multiplication and an addition), the backward pass of a training step twice as many.
TRAINING = 6.0
FORWARD = 2.0


@dataclass(frozen=True)
class Workload:
    """Holds the amounts of work in one training step of lanes that train side by side.

    Attributes:
        architecture: registered name or dotted path of the architecture.
        updates: updates of a layer's state in a forward pass: depth x time steps.
        elements: numbers in all these states: updates x lanes x batch size x hidden width.
        products: products of a number with a weight in the matrix products of a forward pass.
    """

    architecture: str
    updates: int
    elements: int
    products: int

    @classmethod
    def of(
        cls,
        task: Task,
        architecture: str,
        *,
        hidden: int,
        depth: int,
        parameters: int,
        lanes: int,
        batch: int,
    ) -> Self:
        """Return the workload of one training step.

        Every weight is used once at each time step; the weights of the readout are used from the
        task's ``first_output`` on.

        Args:
            task: task that the networks are trained on.
            architecture: registered name or dotted path of the architecture.
            hidden: hidden width.
            depth: number of layers.
            parameters: parameter count of one network.
            lanes: number of networks that are trained side by side.
            batch: batch size, in samples per lane.
        """
        readout = (hidden + 1) * task.outputs
        # Count how often the forward pass of one sample uses a weight.
        uses = max(parameters - readout, 0) * task.length
        uses += readout * (task.length - task.first_output)
        updates = depth * task.length
        return cls(architecture, updates, updates * lanes * batch * hidden, lanes * batch * uses)

    def amounts(self) -> tuple[float, ...]:
        """Return the amounts in which the time of a training step is modelled as linear.

        They are 1 (the constant term), updates, elements and floating-point operations.
        """
        return 1.0, self.updates, self.elements, TRAINING * self.products
