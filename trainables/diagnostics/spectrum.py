"""Measures the power spectrum of a task's inputs (fading-memory paper, Figure 4)."""

import math

import torch
from torch import Tensor


def power_spectrum(inputs: Tensor) -> Tensor:
    """Return the mean power spectrum of sequences of inputs.

    The power at omega_k = 2 pi k / T, k = 0 .. T // 2, is |X_k|^2 / T, with X the discrete Fourier
    transform of a feature of a sequence less its mean over time. It is summed over the features and
    averaged over the sequences. By Parseval's theorem, the powers at all T frequencies add up to
    the sum of squares: those here count twice, but for k = 0 and k = T / 2.

    Args:
        inputs: inputs ``[lanes, time, sequences, features]`` of any numeric type, as those of a
            :class:`trainables.tasks.Batch`.

    Returns:
        Powers ``[time // 2 + 1]`` in float64; the first one is zero.
    """
    x = inputs.to(torch.float64)
    x = x - x.mean(1, keepdim=True)
    spectra: Tensor = torch.fft.rfft(x, dim=1)
    return (spectra.abs().square() / x.shape[1]).sum(-1).mean((0, 2))


def characteristic_frequency(powers: Tensor, time: int) -> float | None:
    """Return the frequency of the largest power, in radians per time step.

    Args:
        powers: powers ``[time // 2 + 1]`` (see :func:`power_spectrum`).
        time: number of time steps T of the sequences.

    Returns:
        The frequency omega_k; None if the inputs do not change over time.
    """
    peak = int(powers.argmax())
    return 2 * math.pi * peak / time if powers[peak] > 0 else None
