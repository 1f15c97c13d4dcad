"""Define the base class of tasks with real-valued targets, judged by root mean square error."""

from torch import Tensor

from trainables.tasks.task import Baseline, Task


class Regression(Task):
    """A regression task predicts real values at each time step from ``first_output`` on.

    Targets are ``[lanes, batch, steps, outputs]``. The loss is the squared error, averaged over
    steps and outputs. The metric is the root of the mean squared error over all samples.
    """

    metric_name = "rms"

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.transpose(1, 2) - targets).square().mean((2, 3))

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.losses(outputs, targets)

    def metric(self, mean_scores: Tensor) -> Tensor:
        return mean_scores.sqrt()

    def variance(self) -> float:
        """Return the mean squared error of the best constant predictor."""
        raise NotImplementedError("write 'variance', the mean squared error of the best constant")

    def baseline(self) -> Baseline:
        variance = self.variance()
        return Baseline(loss=variance, metric=variance**0.5)
