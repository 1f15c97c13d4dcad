"""Gradient descent over a matrix of parameters, one row and one set of constants a lane."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.space import WITH_MOMENTUM, Configuration

SECOND_MOMENT_DECAY = 0.999  # Adam's second constant and epsilon stay at their defaults,
EPSILON = 1e-8  # as in the capacity paper
BLOCK = 64  # steps whose constants are put together at once


class Optimizer:
    """SGD, momentum, RMSProp or Adam, each lane its own (capacity paper, appendix A).

    All four are one update with constants of their own::

        m' = decay m + (1 - decay) g      (SGD and RMSProp: m' = g)
        v' = decay2 v + (1 - decay2) g g
        w' = w - rate m'/bias1 / (sqrt(v'/bias2) + epsilon)     (SGD and momentum: w - rate m')

    The momentum hyperparameter sigmoid(momentum_logit) is the decay of momentum, of RMSProp's
    mean square and of Adam's mean. Momentum's usual velocity is m / (1 - decay): its rate is
    divided by 1 - decay. ``l2`` is added to the gradient as that of a penalty (l2/2) |w|^2, then
    each lane's gradient is cut to a norm of ``clip_norm``. The rate at training step t of T is
    learning_rate * learning_rate_decay^(t/T).

    Args:
        configurations: one a lane.
        parameters: the matrix ``[lanes, parameters]``, changed in place by :meth:`step`.
        steps: T, over which the learning rate decays.
    """

    def __init__(
        self, configurations: Sequence[Configuration], parameters: Tensor, steps: int
    ) -> None:
        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=parameters.device)[:, None]

        kinds = [str(configuration["optimizer"]) for configuration in configurations]
        numbers = [
            {
                key: float(value)
                for key, value in configuration.items()
                if not isinstance(value, str)
            }
            for configuration in configurations
        ]
        # An optimizer without momentum has no such hyperparameter, and uses no decay.
        logits = torch.tensor(
            [
                n["momentum_logit"] if kind in WITH_MOMENTUM else 0.0
                for kind, n in zip(kinds, numbers, strict=True)
            ],
            dtype=torch.float64,
        )
        momentum = torch.sigmoid(logits).tolist()
        self._steps = steps
        self._rate_decay = column([n["learning_rate_decay"] for n in numbers])
        self._clip_norm = column([n["clip_norm"] for n in numbers]).to(parameters.dtype)
        self._l2 = column([n["l2"] for n in numbers]).to(parameters.dtype)
        per_lane = list(zip(kinds, momentum, strict=True))
        self._decay = column([mu if kind in ("momentum", "adam") else 0.0 for kind, mu in per_lane])
        self._rate = column([n["learning_rate"] for n in numbers])
        velocity = column([float(kind == "momentum") for kind in kinds]).bool()
        self._rate = torch.where(velocity, self._rate / (1 - self._decay), self._rate)
        # SGD and momentum leave the mean square at zero and divide by one.
        second = [{"rmsprop": mu, "adam": SECOND_MOMENT_DECAY}.get(kind) for kind, mu in per_lane]
        self._decay2 = column([decay or 0.0 for decay in second])
        self._adam = column([float(kind == "adam") for kind in kinds]).bool()
        self._adaptive = column([float(decay is not None) for decay in second]).bool()
        self._any_adaptive = bool(self._adaptive.any())
        self._share = (1 - self._decay).to(parameters.dtype)
        self._share2 = torch.where(self._adaptive, 1 - self._decay2, 0.0).to(parameters.dtype)
        self._block, self._constants = -1, self._share
        self._parameters = parameters
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)

    def step(self, gradient: Tensor, step: int, alive: Tensor | None = None) -> None:
        """Update the lanes that are ``alive [lanes]``, or all.

        Args:
            gradient: ``[lanes, parameters]``; consumed.
            step: training steps done before this one.
        """
        rate, slope, least = self._constants_of(step)
        w = self._parameters
        g = gradient.addcmul_(self._l2, w)
        if alive is not None:
            alive = alive.unsqueeze(1)
            g.masked_fill_(~alive, 0.0)
            rate, least = torch.where(alive, rate, 0.0), torch.where(alive, least, torch.inf)
        norm = torch.linalg.vector_norm(g, dim=1, keepdim=True)
        g.mul_((self._clip_norm / norm.clamp_min_(1e-12)).clamp_max_(1.0))
        self._mean.lerp_(g, self._share)
        if not self._any_adaptive:
            w.addcmul_(self._mean, rate, value=-1)
            return
        self._square.lerp_(g.mul_(g), self._share2)
        root = torch.sqrt(self._square, out=g)
        w.addcdiv_(self._mean, root.mul_(slope).add_(least), value=-1)

    def _constants_of(self, step: int) -> tuple[Tensor, ...]:
        """Of each lane ``[lanes, 1]``: the rate, and slope and least of the adaptive update.

        w - rate (m / bias1) / (sqrt(v / bias2) + epsilon) is w - m / (sqrt(v) slope + least).
        Beside a small network's step, these few numbers of each lane would take as long as the
        matrices if they were computed for each step alone. Which steps share a block depends on
        nothing but the step, so a restored optimizer has the same ones bit for bit.
        """
        block, index = divmod(step, BLOCK)
        if block != self._block:
            first = block * BLOCK
            steps = torch.arange(first, first + BLOCK, device=self._rate.device)[:, None, None]
            rate = self._rate * self._rate_decay ** (steps.double() / self._steps)
            bias1 = torch.where(self._adam, 1 - self._decay ** (steps + 1), 1.0)
            bias2 = torch.where(self._adam, 1 - self._decay2 ** (steps + 1), 1.0)
            by_rate = bias1 / rate
            slope = torch.where(self._adaptive, by_rate / bias2.sqrt(), 0.0)
            least = torch.where(self._adaptive, EPSILON * by_rate, by_rate)
            table = torch.stack([rate, slope, least], dim=1)
            self._block, self._constants = block, table.to(self._parameters.dtype)
        return self._constants[index].unbind(0)

    def state_dict(self) -> dict[str, Tensor]:
        """The moments that a later step depends on: a checkpoint holds no zeros."""
        mean = {"mean": self._mean} if bool((self._decay > 0).any()) else {}
        return mean | ({"square": self._square} if self._any_adaptive else {})

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        moments = {"mean": self._mean, "square": self._square}
        for name, moment in state.items():
            moments[name].copy_(moment)
