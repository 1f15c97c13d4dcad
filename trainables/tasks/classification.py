"""Define the base class of tasks that predict symbols and are judged by accuracy."""

import torch
from torch import Tensor
from torch.nn import functional

from trainables.tasks.task import Task


class Classification(Task):
    """A classification task predicts one symbol at each time step from ``first_output`` on.

    Targets ``[lanes, batch, steps]`` are symbol numbers from 0 to outputs - 1. The loss is the
    cross entropy of the softmax over the outputs in nats, averaged over steps. The metric is
    accuracy: the share of steps at which the largest output is that of the target.
    """

    metric_name = "accuracy"
    higher_is_better = True

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        step_losses = functional.cross_entropy(
            outputs.movedim(-1, 1), _by_step(outputs, targets), reduction="none"
        )
        return step_losses.mean(1)

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.argmax(-1) == _by_step(outputs, targets)).float().mean(1)


def _by_step(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return targets with the axes of the outputs, ``[lanes, steps, batch]``."""
    return targets.to(torch.int64).transpose(1, 2).expand(outputs.shape[:-1])
