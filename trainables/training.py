"""Trains and evaluates K networks of one shape side by side, each lane independently."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainables.architectures import Network
from trainables.optimizers import Optimizer
from trainables.seeds import derive
from trainables.space import Configuration
from trainables.tasks import Split, Task
from trainables.tasks.task import Batch

EVALUATION_CHUNK = 256  # samples evaluated at once, which bounds the memory of an evaluation


@dataclass(frozen=True)
class Schedule:
    """Holds the training settings of a trial.

    Attributes:
        steps: training steps of a trial that is not stopped early.
        batch_size: batch size, in samples per lane.
        divergence_threshold: largest loss of a feasible lane; a lane becomes infeasible when its
            loss is greater or not finite.
        shared_batches: whether all lanes train on the batches of the first lane.
    """

    steps: int
    batch_size: int
    divergence_threshold: float
    shared_batches: bool = False


@dataclass(frozen=True)
class Scores:
    """Holds the mean loss and the metric of each lane on a held-out set.

    Both are NaN for a lane that is infeasible, and for one whose loss on this set is greater than
    the divergence threshold or not finite. A metric that is not finite is NaN alone.
    """

    losses: list[float]
    metrics: list[float]


class Trainer:
    """Trains the lanes of one network shape on one task.

    Lane i is a pure function of (its configuration, network seed, data seed, i): the lanes that
    train beside it change nothing but rounding errors. A lane becomes infeasible at the step at
    which its loss exceeds the divergence threshold, or its loss, its weights or its gradient with
    the penalty's are not finite (see also :meth:`.Optimizer.step`). Its weights then no longer
    change, and the other lanes continue.

    Args:
        network: network from :func:`trainables.architectures.build`; its parameters are
            initialized here.
        task: task that the network is trained on.
        schedule: training settings.
        configurations: configuration of each lane.
        network_seed: seed of the initial weights.
        data_seed: seed of the batches and the held-out sets.
        lanes: index i of each lane, by default 0, 1 and so on. To train lane 2 without the others,
            pass its configuration and ``lanes=[2]``.
        first_lane: offset of the batches: lane i trains on the batches that the task draws for lane
            ``first_lane + i``.
        paired: whether what is not trained comes from a random stream of its own, so that networks
            of one shape and seed start from the same parameters; see :meth:`.Network.initialize`.
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        schedule: Schedule,
        configurations: Sequence[Configuration],
        *,
        network_seed: int,
        data_seed: int,
        lanes: Sequence[int] | None = None,
        first_lane: int = 0,
        paired: bool = False,
    ) -> None:
        self.network, self.task, self.schedule = network, task, schedule
        self._data_seed = data_seed
        lanes = range(network.lanes) if lanes is None else lanes
        generators = [torch.Generator().manual_seed(derive(network_seed, lane)) for lane in lanes]
        constants = [
            torch.Generator().manual_seed(derive(network_seed, lane, "constants")) for lane in lanes
        ]
        self._batches_of = [first_lane + lane for lane in lanes]
        if schedule.shared_batches:
            self._batches_of = [first_lane]
        network.initialize(configurations, generators, constants if paired else None)
        self._parameters = list(network.parameters())
        self._matrix = _as_one_matrix(self._parameters)
        self.device = self._matrix.device
        self._optimizer = Optimizer(configurations, self._matrix, schedule.steps)
        self._held_out: dict[Split, Batch] = {}
        self.step = 0
        # The step at which each lane became infeasible, -1 for a feasible lane. Kept on the device,
        # so that training never waits for a copy to the host.
        self._infeasible_at = torch.full((network.lanes,), -1, device=self.device)
        self._last_losses = torch.full((network.lanes,), torch.nan, device=self.device)
        # The largest loss allowed for each lane. It is NaN for an infeasible lane, so that no loss
        # is within the limit: comparisons with NaN are false.
        self._limits = torch.empty(network.lanes, dtype=torch.float64, device=self.device)
        self._limits.fill_(schedule.divergence_threshold)

    @property
    def infeasible_at(self) -> list[int | None]:
        """Return for each lane the training step that made it infeasible, or None."""
        return [None if step < 0 else int(step) for step in self._infeasible_at.tolist()]

    @property
    def training_losses(self) -> list[float]:
        """Return for each lane the loss of the last batch that it trained on."""
        return [float(loss) for loss in self._last_losses.tolist()]

    def train(self, until: int, after_step: Callable[[], None] | None = None) -> None:
        """Train until training step ``until``; on a CPU stop early when no lane is feasible.

        Args:
            until: training step at which to stop, counted from the beginning of the training.
            after_step: function that is called after each training step of this call but the last.
        """
        while self.step < until:
            self._train_one()
            if self.device.type == "cpu" and bool((self._infeasible_at >= 0).all()):
                return
            if after_step is not None and self.step < until:
                after_step()

    def _train_one(self) -> None:
        batch = self.task.batch(
            seed=self._data_seed,
            lanes=self._batches_of,
            step=self.step,
            size=self.schedule.batch_size,
        )
        inputs, targets = batch.inputs.to(self.device), batch.targets.to(self.device)
        inputs = inputs.to(self._matrix.dtype).expand(self.network.lanes, -1, -1, -1)
        outputs, _ = self.network(inputs, first_output=self.task.first_output)
        losses = self.task.losses(outputs, targets).mean(1)
        gradients = torch.autograd.grad(losses.sum(), self._parameters)
        with torch.no_grad():
            gradient = torch.cat([g.flatten(1) for g in gradients], dim=1)
            updated = self._optimizer.step(gradient, self.step, losses <= self._limits)
            if updated is None:  # every lane was
                self._last_losses = losses.detach()
            else:
                feasible = self._infeasible_at < 0
                self._last_losses = torch.where(feasible, losses, self._last_losses)
                self._end(feasible & ~updated, self.step + 1)
        self.step += 1

    def _end(self, lanes: Tensor, step: int) -> None:
        """Make the lanes for which ``lanes [lanes]`` is true infeasible from ``step`` on."""
        self._infeasible_at.masked_fill_(lanes, step)
        self._limits.masked_fill_(lanes, torch.nan)

    def held_out(self, split: Split) -> Batch:
        """Return the validation or the evaluation set, on the device of the network."""
        if split not in self._held_out:
            batch = self.task.held_out(split, seed=self._data_seed)
            self._held_out[split] = Batch(
                batch.inputs.to(self.device), batch.targets.to(self.device)
            )
        return self._held_out[split]

    @torch.no_grad()
    def evaluate(self, split: Split) -> Scores:
        """Return the loss and the metric of each lane on the validation or the evaluation set.

        A lane becomes infeasible if its validation loss or one of its weights is not finite, or if
        that loss exceeds the divergence threshold.
        """
        held_out = self.held_out(split)
        inputs, targets = held_out.inputs, held_out.targets
        losses, scores = [], []
        for start in range(0, inputs.shape[2], EVALUATION_CHUNK):
            chunk = slice(start, start + EVALUATION_CHUNK)
            x = inputs[:, :, chunk].to(self._matrix.dtype).expand(self.network.lanes, -1, -1, -1)
            outputs, _ = self.network(x, first_output=self.task.first_output)
            losses.append(self.task.losses(outputs, targets[:, chunk]))
            scores.append(self.task.scores(outputs, targets[:, chunk]))
        mean_losses = _means(torch.cat(losses, dim=1))
        # An update may have overflowed: an infinite weight need not show in a loss.
        finite = mean_losses.isfinite() & self._matrix.isfinite().all(1)
        within = finite & (mean_losses <= self.schedule.divergence_threshold)
        feasible = (self._infeasible_at < 0) & within
        if split == "validation":  # the evaluation set decides nothing
            self._end((self._infeasible_at < 0) & ~feasible, self.step)
        metrics = self.task.metric(_means(torch.cat(scores, dim=1)))
        return Scores(
            losses=mean_losses.masked_fill(~feasible, torch.nan).tolist(),
            metrics=metrics.masked_fill(~(feasible & metrics.isfinite()), torch.nan).tolist(),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a restored trainer needs to continue bit for bit."""
        return {
            "step": self.step,
            "infeasible_at": self._infeasible_at,
            "last_losses": self._last_losses,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a trainer with the same arguments (see :meth:`state_dict`)."""
        self.step = state["step"]
        self._infeasible_at.copy_(state["infeasible_at"])
        self._limits.fill_(self.schedule.divergence_threshold)
        self._limits.masked_fill_(self._infeasible_at >= 0, torch.nan)
        self._last_losses = state["last_losses"].to(self.device)
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])


def _means(lanes: Tensor) -> Tensor:
    """Return the mean of each row, summed on its own: sums of several long rows differ in bits."""
    return torch.stack([lane.mean() for lane in lanes])


def _as_one_matrix(parameters: Sequence[torch.nn.Parameter]) -> Tensor:
    """Move the parameters, each ``[lanes, ...]``, into one matrix and make them views of it.

    With one matrix an optimizer step is a handful of operations, however many parameters there are.
    """
    lanes = parameters[0].shape[0]
    matrix = torch.cat([p.detach().reshape(lanes, -1) for p in parameters], dim=1)
    column = 0
    for parameter in parameters:
        numbers = parameter[0].numel()
        parameter.data = matrix[:, column : column + numbers].view(parameter.shape)
        column += numbers
    return matrix
