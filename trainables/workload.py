"""What a training step works on, as the numbers that its time follows from."""

from dataclasses import dataclass
from typing import Self

from trainables.tasks import Task

TRAINING = 6.0  # operations a weight, sample and time step: two forward, twice that backward
FORWARD = 2.0


@dataclass(frozen=True)
class Workload:
    """A step of a pack of lanes.

    Attributes:
        architecture: its name.
        updates: of a layer's state in a forward pass: depth times time steps.
        elements: numbers in all those states: updates x lanes x batch x hidden.
        products: of a number with a weight, in the matrix products of a forward pass.
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
        """Of ``lanes`` networks with so many ``parameters`` each, on ``batch`` samples a lane.

        Every weight is used once a time step, those of the readout from ``first_output`` on.
        """
        readout = (hidden + 1) * task.outputs
        used = max(parameters - readout, 0) * task.length
        used += readout * (task.length - task.first_output)
        updates = depth * task.length
        return cls(architecture, updates, updates * lanes * batch * hidden, lanes * batch * used)

    def amounts(self) -> tuple[float, ...]:
        """What the seconds of a training step are taken to be linear in."""
        return 1.0, self.updates, self.elements, TRAINING * self.products
