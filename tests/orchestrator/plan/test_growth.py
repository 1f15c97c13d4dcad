"""Plans warn of networks whose states grow beyond the divergence threshold, and of no others."""

import math

import pytest
import torch

from orchestrator.plan import growth
from tests.support.small import small_plan
from tests.support.studies import wcrnn
from trainables import tasks
from trainables.architectures import ARCHITECTURES, build, check_options, stated_options
from trainables.training import Schedule, Trainer

LONG = {"name": "adding", "options": {"length": 784}}
GROWING = [
    ({"alpha": 1.02}, "alpha is 1.02, and 1.02^784 = 5.5e6"),
    ({"alpha": 1.05}, "alpha is 1.05, and 1.05^784 = 4.1e16"),
    ({"alpha": 1.02, "residual": "orthogonal"}, "alpha is 1.02"),
    (
        {"alpha": 0.98, "epsilon": 0.05, "residual": "heterogeneous"},
        "alpha + epsilon is 1.03, and 1.03^784 = 1.2e10",
    ),
    ({"alpha": 1.0, "epsilon": 0.02, "residual": "informed"}, "alpha + epsilon is 1.02"),
    ({"alpha": 1.02, "form": "A", "nonlinearity": "identity"}, "alpha is 1.02"),
]
LIVING = [
    {"alpha": 0.9},
    {"alpha": 1.0},
    {"alpha": 1.005},
    {"alpha": 0.98, "epsilon": 0.5},  # nothing is drawn from the interval
    {"alpha": 0.98, "epsilon": 0.025, "residual": "heterogeneous"},
    {"alpha": 1.02, "form": "A"},  # a tanh bounds the state
    {"alpha": 1.02, "form": "B"},
]


def warned(*architectures, task=LONG, **training):
    plan = small_plan(
        architectures=list(architectures),
        tasks=[task],
        scheduler="none",
        training={"steps": 16, "evaluation_interval": 4, **training},
    )
    return [*growth.warnings(plan)]


@pytest.mark.parametrize(("options", "part"), GROWING)
def test_a_growing_network_is_named_with_the_number_and_the_remedy(options, part):
    (warning,) = warned(wcrnn(gamma=0.01, **options), "gru")
    assert warning.startswith("warning: adding(length=784): networks of wcrnn(")
    assert part in warning
    assert warning.endswith("divergence threshold of 10,000; 784 steps bear 1.008")
    assert "gru" not in warning


@pytest.mark.parametrize("options", LIVING)
def test_a_network_that_lives_is_not_warned_of(options):
    assert not warned(wcrnn(gamma=0.01, **options), "gru")


def test_the_length_and_the_threshold_decide():
    supercritical = wcrnn(alpha=1.02)
    assert not warned(supercritical, task={"name": "adding", "options": {"length": 50}})
    assert not warned(supercritical, divergence_threshold=1e9)
    (warning,) = warned(wcrnn(alpha=1.005), divergence_threshold=100)
    assert warning.endswith("divergence threshold of 100; 784 steps bear 1.002")


def test_several_networks_are_named_together_with_the_largest_number():
    (warning,) = warned(*(wcrnn(alpha=1.02 + index / 100) for index in range(5)))
    assert "wcrnn(alpha=1.02), wcrnn(alpha=1.03), wcrnn(alpha=1.04) and 2 more will" in warning
    assert "alpha is up to 1.06" in warning


def test_a_power_beyond_all_numbers_is_shown():
    (warning,) = warned(wcrnn(alpha=4.0))
    digits = 784 * math.log10(4)
    assert f"4^784 = {10 ** (digits - int(digits)):.1f}e{int(digits)} takes" in warning


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"wcrnn"}))
def test_other_architectures_do_not_grow_by_themselves(name):
    assert ARCHITECTURES[name].growth(check_options(name, {})).factor == 1.0


def first_step(options):
    """Return a trainer on 784 steps of adding after one training step of a wcrnn of 30 units."""
    task = tasks.make(LONG["name"], {**LONG["options"], "held_out_size": 8, "loss": "root"})
    network = build("wcrnn", inputs=2, outputs=1, hidden=30, options={"gamma": 0.01, **options})
    configuration = {
        "optimizer": "sgd",
        "learning_rate": 1e-4,
        "learning_rate_decay": 1.0,
        "clip_norm": "none",
        "l2": 0.0,
    }
    schedule = Schedule(steps=1, batch_size=8, divergence_threshold=1e4)
    trainer = Trainer(network, task, schedule, [configuration], network_seed=1, data_seed=2)
    trainer.train(1)
    trainer.evaluate("validation")
    return trainer


@pytest.mark.parametrize("options", [options for options, _ in GROWING])
def test_a_network_that_is_warned_of_is_infeasible_after_one_step(options):
    assert first_step(options).infeasible_at == [1]


IN_A_FILE = [
    stated_options("wcrnn", {"residual": residual, **alpha})
    for residual in ("heterogeneous", "informed")
    for alpha in ({}, {"alpha": 0.95}, {"alpha": 0.98})
]


@pytest.mark.parametrize("options", IN_A_FILE)
def test_networks_of_the_default_options_of_a_file_are_not_warned_of(options):
    assert not warned(wcrnn(**options))


@pytest.mark.parametrize("options", [*LIVING, *IN_A_FILE])
def test_a_network_that_is_not_warned_of_trains(options):
    trainer = first_step(options)
    assert trainer.infeasible_at == [None]
    assert torch.isfinite(torch.tensor(trainer.training_losses)).all()
