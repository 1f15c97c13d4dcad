"""Tests power spectra of inputs against waves, Parseval's theorem and the rows of images."""

import math
import os

import numpy as np
import pytest
import torch

from tests.support import task_files
from trainables.diagnostics import characteristic_frequency, power_spectrum
from trainables.tasks import TASKS, make

REAL = os.environ.get("SOUNDINGS_DATA")
SMALL = {
    "text8": {"length": 12, "warm_up": 3, "held_out_size": 40},
    "shakespeare": {"length": 12, "held_out_size": 40},
    **{name: {"held_out_size": 20} for name in ("smnist", "psmnist", "scifar10")},
}


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    task_files.write(folder)
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_the_powers_of_every_task_add_up_to_its_squares(name, small_data, tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDINGS_DATA", str(small_data))
    monkeypatch.setenv("SOUNDINGS_CACHE", str(tmp_path))
    task = make(name, SMALL.get(name, {}))
    task.prepare()
    inputs = task.held_out("evaluation", seed=0).inputs[:, :, :20]
    powers = power_spectrum(inputs)
    assert powers.shape == (task.length // 2 + 1,)
    x = inputs[0].double().numpy()
    squares = ((x - x.mean(0)) ** 2).sum((0, 2)).mean()
    twice = powers.numpy() * 2
    twice[0] /= 2
    if task.length % 2 == 0:
        twice[-1] /= 2
    assert twice.sum() == pytest.approx(squares, rel=1e-9, abs=1e-12)
    frequency = characteristic_frequency(powers, task.length)
    assert frequency is None or 0 < frequency <= math.pi


def test_the_peak_of_a_wave_is_its_frequency_and_the_mean_does_not_count():
    time, k = 60, 7
    wave = np.cos(2 * np.pi * k * np.arange(time) / time)
    inputs = np.stack([5 + 3 * wave, wave], axis=-1).reshape(1, time, 1, 2)
    powers = power_spectrum(torch.from_numpy(inputs))
    expected = np.zeros(time // 2 + 1)
    expected[k] = (3**2 + 1) * time / 4
    np.testing.assert_allclose(powers.numpy(), expected, atol=1e-10)
    assert characteristic_frequency(powers, time) == pytest.approx(2 * math.pi * k / time)


def test_constant_inputs_have_no_frequency():
    assert characteristic_frequency(power_spectrum(torch.ones(1, 8, 3, 2)), 8) is None


def test_the_frequency_of_sequential_mnist_is_that_of_its_rows(monkeypatch):
    if not REAL:
        pytest.skip("SOUNDINGS_DATA is not set: no real data here")
    monkeypatch.setenv("SOUNDINGS_DATA", REAL)
    by_row = make("smnist", {})
    powers = power_spectrum(by_row.held_out("evaluation", seed=0).inputs[:, :, :1000])
    assert characteristic_frequency(powers, 784) == pytest.approx(2 * math.pi / 28)
    permuted = make("psmnist", {}).held_out("evaluation", seed=0).inputs[:, :, :1000]
    assert power_spectrum(permuted).max() < powers.max() / 10  # no frequency stands out
