"""What tasks with real-valued targets share: squared error, and its root as the metric."""

from torch import Tensor

from trainables.tasks.task import Baseline, Task


class Regression(Task):
    """Targets ``[lanes, batch, steps, outputs]`` of the steps from ``first_output`` on.

    The loss is the squared error, averaged over steps and outputs; the metric its root mean.
    """

    metric_name = "rms"

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.transpose(1, 2) - targets).square().mean((2, 3))

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.losses(outputs, targets)

    def metric(self, mean_scores: Tensor) -> Tensor:
        return mean_scores.sqrt()

    def variance(self) -> float:
        """Mean squared error of the best constant predictor."""
        raise NotImplementedError("write 'variance', the mean squared error of the best constant")

    def baseline(self) -> Baseline:
        variance = self.variance()
        return Baseline(loss=variance, metric=variance**0.5)
