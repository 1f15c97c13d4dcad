"""Updates a matrix of parameters by gradient descent; each lane (row) has its own constants."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.space import UNCLIPPED, WITH_MOMENTUM, Configuration

# The decay of Adam's second moment and epsilon keep their usual defaults, as in the capacity paper.
SECOND_MOMENT_DECAY = 0.999
EPSILON = 1e-8
BLOCK = 64  # training steps whose constants are computed together


class Optimizer:
    """Trains each lane with its own choice of SGD, momentum, RMSProp or Adam.

    Source: the capacity paper (Collins, Sohl-Dickstein and Sussillo, 2017), appendix A. All four
    optimizers are one update with different constants::

        m' = decay m + (1 - decay) g      (SGD and RMSProp: m' = g)
        v' = decay2 v + (1 - decay2) g g
        w' = w - rate m'/bias1 / (sqrt(v'/bias2) + epsilon)     (SGD and momentum: w - rate m')

    In a step after t earlier ones, Adam has bias1 = 1 - decay^(t+1) and bias2 = 1 - decay2^(t+1);
    the other optimizers have bias1 = bias2 = 1. The hyperparameter sigmoid(momentum_logit) is the
    decay of momentum, of RMSProp's mean square and of Adam's mean. The velocity in the usual
    definition of momentum is m / (1 - decay), so the rate of momentum is divided by 1 - decay.
    The gradient l2 w of the penalty (l2/2) |w|^2 is added to the gradient of the loss; then the sum
    g of each lane is scaled down to a norm of at most ``clip_norm``. That holds for every finite g,
    also where the norm itself is beyond the numbers of its format; ``none`` clips nothing. The rate
    at training step t of T is learning_rate * learning_rate_decay^(t/T).

    Args:
        configurations: configuration of each lane.
        parameters: matrix ``[lanes, parameters]`` that :meth:`step` changes in place.
        steps: number T of training steps over which the learning rate decays.
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
        # SGD has no momentum_logit and does not use the decay; any number will do.
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
        clip_norms = [configuration["clip_norm"] for configuration in configurations]
        self._clip_norm = column(
            [math.inf if norm == UNCLIPPED else float(norm) for norm in clip_norms]
        ).to(parameters.dtype)
        self._l2 = column([n["l2"] for n in numbers]).to(parameters.dtype)
        per_lane = list(zip(kinds, momentum, strict=True))
        self._decay = column([mu if kind in ("momentum", "adam") else 0.0 for kind, mu in per_lane])
        self._rate = column([n["learning_rate"] for n in numbers])
        velocity = column([float(kind == "momentum") for kind in kinds]).bool()
        self._rate = torch.where(velocity, self._rate / (1 - self._decay), self._rate)
        # SGD and momentum have no second moment: it stays zero and the update divides by one.
        decays2 = [{"rmsprop": mu, "adam": SECOND_MOMENT_DECAY}.get(kind) for kind, mu in per_lane]
        self._decay2 = column([decay or 0.0 for decay in decays2])
        self._adam = column([float(kind == "adam") for kind in kinds]).bool()
        self._adaptive = column([float(decay is not None) for decay in decays2]).bool()
        self._any_plain = None in decays2
        # Numbers up to this one can be squared. A square that overflows would freeze its parameter
        # for ever, so it must not where clipping does not prevent it.
        self._ordinary = torch.finfo(parameters.dtype).max ** 0.5 / 2
        self._squared = self._adaptive & (self._clip_norm > self._ordinary)
        self._share = (1 - self._decay).to(parameters.dtype)
        self._share2 = torch.where(self._adaptive, 1 - self._decay2, 0.0).to(parameters.dtype)
        self._block, self._constants = -1, self._share
        self._parameters = parameters
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)

    def step(self, gradient: Tensor, step: int, alive: Tensor | None = None) -> Tensor | None:
        """Update the parameters of the lanes that are alive and whose gradient can be used.

        A gradient cannot be used if it or the parameters are not finite, or if RMSProp or Adam
        would have to keep a square that overflows.

        Args:
            gradient: gradient ``[lanes, parameters]`` of the loss; it is overwritten.
            step: number of training steps done before this one.
            alive: booleans ``[lanes]``, true for the lanes to update; None stands for all lanes.

        Returns:
            Booleans ``[lanes]``, true for the lanes that were updated; None if all were, where that
            is known without waiting for a GPU.
        """
        rate, slope, offset = self._constants_of(step)
        g = gradient.addcmul_(self._l2, self._parameters)
        norm = torch.linalg.vector_norm(g, dim=1, keepdim=True)
        on_cpu = g.device.type == "cpu"  # a GPU would have to be waited for
        if on_cpu and (alive is None or bool(alive.all())) and bool(norm.max() < self._ordinary):
            g.mul_((self._clip_norm / norm.clamp_min_(1e-12)).clamp_max_(1.0))
            self._update(g, rate, slope, offset)
            return None
        updated = self._clip(g, norm, alive)
        rate, offset = torch.where(updated, rate, 0.0), torch.where(updated, offset, torch.inf)
        self._update(g, rate, slope, offset)
        return updated.squeeze(1)

    def _update(self, g: Tensor, rate: Tensor, slope: Tensor, offset: Tensor) -> None:
        """Update moments and parameters by clipped gradients ``g``, which are overwritten.

        ``rate``, ``slope`` and ``offset`` are those of :meth:`_constants_of`.
        """
        w = self._parameters
        self._mean.lerp_(g, self._share)
        squares = g.mul_(g)
        if self._any_plain:  # an infinite square times zero would be no number
            squares.masked_fill_(~self._adaptive, 0.0)
        self._square.lerp_(squares, self._share2)
        root = torch.sqrt(self._square, out=g)
        w.addcdiv_(self._mean, root.mul_(slope).add_(offset), value=-1)

    def _clip(self, g: Tensor, norm: Tensor, alive: Tensor | None) -> Tensor:
        """Clip the gradients that can be used, of any finite norm, and set the others to zero.

        Args:
            g: gradients ``[lanes, parameters]``, changed in place.
            norm: norms ``[lanes, 1]`` of the gradients, infinite where their squares overflow.
            alive: booleans ``[lanes]``, true for the lanes to update; None stands for all lanes.

        Returns:
            Booleans ``[lanes, 1]``, true for the lanes whose gradient can be used.
        """
        peak = g.abs().amax(1, keepdim=True)
        usable = torch.where(self._squared, peak * peak, peak).isfinite()
        if alive is not None:
            usable = usable & alive.unsqueeze(1)
        g.masked_fill_(~usable, 0.0)
        # Where the norm overflows, g is divided by its largest number and the norm computed again.
        unclipped = self._clip_norm.isinf()
        unit = torch.where(usable & norm.isinf() & ~unclipped, peak, 1.0)
        norm = torch.linalg.vector_norm(g.div_(unit), dim=1, keepdim=True)
        factor = torch.minimum(self._clip_norm / norm.clamp_min_(1e-12), unit)
        g.mul_(torch.where(unclipped, 1.0, factor))
        return usable

    def _constants_of(self, step: int) -> tuple[Tensor, ...]:
        """Return rate, slope and offset of each lane at ``step``, each ``[lanes, 1]``.

        The adaptive update w - rate (m / bias1) / (sqrt(v / bias2) + epsilon) is computed as
        w - m / (sqrt(v) slope + offset).

        The constants of ``BLOCK`` steps are computed together: computed step by step, these few
        numbers would take as long as the matrices of a small network. The block of a step depends
        only on the step, so a restored optimizer computes the same constants bit for bit.
        """
        block, index = divmod(step, BLOCK)
        if block != self._block:
            first = block * BLOCK
            steps = torch.arange(first, first + BLOCK, device=self._rate.device)[:, None, None]
            rate = self._rate * self._rate_decay ** (steps.double() / self._steps)
            bias1 = torch.where(self._adam, 1 - self._decay ** (steps + 1), 1.0)
            bias2 = torch.where(self._adam, 1 - self._decay2 ** (steps + 1), 1.0)
            bias1_over_rate = bias1 / rate
            slope = torch.where(self._adaptive, bias1_over_rate / bias2.sqrt(), 0.0)
            offset = torch.where(self._adaptive, EPSILON * bias1_over_rate, bias1_over_rate)
            table = torch.stack([rate, slope, offset], dim=1)
            self._block, self._constants = block, table.to(self._parameters.dtype)
        return self._constants[index].unbind(0)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the moments that later steps depend on.

        A moment that no lane uses is left out, so that checkpoints stay small.
        """
        mean = {"mean": self._mean} if bool((self._decay > 0).any()) else {}
        return mean | ({"square": self._square} if bool(self._adaptive.any()) else {})

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the moments that :meth:`state_dict` returned."""
        moments = {"mean": self._mean, "square": self._square}
        for name, moment in state.items():
            moments[name].copy_(moment)
