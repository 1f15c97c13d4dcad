"""The estimated cost of a sweep equals a calculation by hand."""

import json
import math
from importlib.resources import files

import pytest
from rich.console import Console

from orchestrator.cli import commands
from orchestrator.cli.plan_table import print_plan
from orchestrator.errors import BadInput
from orchestrator.plan.cost import Device, diagnostics_cost, estimate_cost, load_device
from tests.support.small import small_plan
from trainables.architectures import ARCHITECTURES

ONLY_OPERATIONS = {"rnn": (0.0, 0.0, 0.0, 1.0), "gru": (0.0, 0.0, 0.0, 1.0)}
ONLY_STEPS = {"rnn": (1.0, 0.0, 0.0, 0.0), "gru": (1.0, 0.0, 0.0, 0.0)}


def device(factors, forward=0.0, trial_seconds=0.0):
    return Device("mine", "by hand", factors, dict.fromkeys(factors, forward), trial_seconds)


def adding(**changes):
    """Plan 10 trials of one vanilla network each, 100 steps of 4 sequences of 20 numbers."""
    return small_plan(
        architectures=["rnn"],
        depths=[1],
        tasks=[{"name": "adding", "options": {"length": 20, "held_out_size": 300}}],
        budgets=[1000],
        search={"samples": 10},
        training={"steps": 100, "batch_size": 4, "evaluation_interval": 40},
        replicates=1,
        **{"scheduler": "none", **changes},
    )


def test_estimated_operations_equal_those_counted_by_hand():
    plan = adding()
    (cell,) = plan.cells
    n = cell.hidden
    # Each unit has 2 input weights, n recurrent weights, a bias and an initial state.
    recurrent_weights = 2 * n + n * n + n + n
    assert cell.parameters == recurrent_weights + n + 1
    per_sample = 20 * recurrent_weights + (n + 1)  # the readout runs once, after the last step
    trained = 10 * 100 * 6 * 4 * per_sample
    evaluated = 10 * 3 * 2 * 2 * 300 * per_sample  # three reports, each on two sets
    full, stopped = estimate_cost(plan, device(ONLY_OPERATIONS))
    assert full == stopped
    assert full.operations == pytest.approx(trained + evaluated)
    assert full.seconds == pytest.approx(trained)  # a forward pass takes no time here


def test_estimated_seconds_add_up_steps_evaluation_chunks_and_trials():
    full, _ = estimate_cost(adding(), device(ONLY_STEPS, forward=0.5, trial_seconds=7.0))
    # 100 training steps, then three reports on two sets: 300 samples are two chunks of half a step.
    assert full.seconds == pytest.approx(10 * (100 + 3 * 2 * 2 * 0.5 + 7))


@pytest.mark.parametrize(
    ("grace", "steps_of_a_trial"),
    [
        # Reports come at 40, 80 and 100. All trials train 40 steps, half go on to 80, a quarter to
        # the end; the rung at 20 is passed together with the one at 40.
        (20, 40 + 0.5 * 40 + 0.25 * 20),
        (50, 80 + 0.5 * 20),  # no trial is judged at the last report, which passes no rung either
        (90, 100),
    ],
)
def test_the_estimate_with_early_stopping_counts_the_survivors_of_each_judged_report(
    grace, steps_of_a_trial
):
    plan = adding(scheduler={"method": "asha", "grace": grace, "reduction_factor": 2})
    full, stopped = estimate_cost(plan, device(ONLY_STEPS))
    assert stopped.seconds == pytest.approx(10 * steps_of_a_trial)
    assert full.seconds == pytest.approx(10 * 100)


def test_estimated_operations_are_proportional_to_the_replicates():
    of_one, of_three = (
        estimate_cost(small_plan(replicates=n), device(ONLY_OPERATIONS))[0].operations
        for n in (1, 3)
    )
    assert of_three == pytest.approx(3 * of_one)


def test_the_cost_of_a_memorization_task_has_one_evaluation_of_all_drawn_samples():
    plan = small_plan(
        architectures=["rnn"],
        depths=[1],
        tasks=[{"name": "perceptron_capacity", "options": {"length": 1, "size": 4}}],
        budgets=[200],
        search={"samples": 4, "space": {"samples_per_parameter": 5.0}},
        training={"steps": 10, "batch_size": 8, "evaluation_interval": 10},
        scheduler="none",
        replicates=1,
    )
    (cell,) = plan.cells
    chunks = math.ceil(5 * cell.parameters / 256)
    full, _ = estimate_cost(plan, device(ONLY_STEPS, forward=1.0))
    assert full.seconds == pytest.approx(4 * (10 + chunks))


def test_an_architecture_that_was_not_measured_is_as_slow_as_the_slowest():
    measured = device({"rnn": (1.0, 0.0, 0.0, 0.0), "gru": (3.0, 0.0, 0.0, 0.0)})
    plan = small_plan(architectures=["irnn"], training={"steps": 5, "evaluation_interval": 5})
    assert estimate_cost(plan, measured)[0].seconds == pytest.approx(5 * plan.trial_count * 3.0)


def test_the_device_that_ships_knows_every_architecture():
    shipped = load_device("xeon-thread")
    assert set(shipped.factors) == set(shipped.forward) == set(ARCHITECTURES)
    figures = json.loads(
        files("orchestrator.plan").joinpath("devices/xeon-thread.json").read_text()
    )
    for name, measured in figures["figures"]["architectures"].items():
        ratios = measured["fitted_over_measured"]
        assert all(0.4 < ratio < 2 for ratio in ratios), name
        assert 0.1 < measured["forward"] < 0.6, name


def test_load_device_reads_the_file_of_a_device_measured_elsewhere(tmp_path):
    content = json.loads(
        files("orchestrator.plan").joinpath("devices/xeon-thread.json").read_text()
    )
    for measured in content["figures"]["architectures"].values():
        measured["seconds"] = [2.0, 0.0, 0.0, 0.0]
        measured["forward"] = 0.0
    content["figures"]["trial_seconds"] = 0.0
    (tmp_path / "mine.json").write_text(json.dumps(content))
    mine = load_device(str(tmp_path / "mine.json"))
    plan = small_plan()
    assert mine.name == "mine"
    assert estimate_cost(plan, mine)[0].seconds == pytest.approx(2.0 * plan.step_count)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("xenon-thread", None, "unknown device 'xenon-thread'; did you mean 'xeon-thread'?"),
        ("mine.json", None, "mine.json: cannot read the device: No such file or directory"),
        ("mine.json", "{", "mine.json: no device as benchmarks/device.py writes it (JSONDecode"),
        ("mine.json", "[]", "mine.json: no device as benchmarks/device.py writes it (TypeError"),
        ("mine.json", "{}", "mine.json: no device as benchmarks/device.py writes it (KeyError"),
        *(
            (
                "mine.json",
                json.dumps(
                    {
                        "date": "2026-11-20",
                        "machine": {"processor": "mine"},
                        "versions": {"torch": "2"},
                        "figures": {
                            "worker": "one",
                            "trial_seconds": 0,
                            "architectures": architectures,
                        },
                    }
                ),
                f"mine.json: no device as benchmarks/device.py writes it (ValueError: {why})",
            )
            for architectures, why in (
                ({}, "no architecture"),
                *(
                    (
                        {"gru": {"seconds": seconds, "forward": 0.3}},
                        "gru has no four factors and a share of the forward pass",
                    )
                    for seconds in ([1], [1, 2, 3, -4], [1, 2, 3, float("nan")])
                ),
            )
        ),
    ],
)
def test_load_device_refuses_an_unknown_or_malformed_device_in_one_sentence(
    tmp_path, monkeypatch, name, text, sentence
):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(BadInput) as caught:
        load_device(name)
    assert str(caught.value).startswith(sentence)


def test_the_plan_ends_with_operations_hours_and_the_device(monkeypatch, capsys, tmp_path):
    (tmp_path / "asha.yaml").write_text(
        "{name: a, seed: 1, architectures: [gru], depths: [1], tasks: [text8], budgets: [1000000], "
        "search: {samples: 7}, scheduler: {method: asha, grace: 100}}"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["soundings", "plan", "asha.yaml"])
    with pytest.raises(SystemExit) as exit_:
        commands.main()
    assert exit_.value.code == 0
    counts, costs, described = capsys.readouterr().out.splitlines()[-3:]
    assert counts == (
        "1 cell, 7 trials of 1 network, 700,000 training steps if none is stopped early"
    )
    # 700,000 steps of 128 passages of 50 characters, six operations per weight; and the reports.
    assert costs.startswith("2.7e16 floating-point operations, ")
    assert " hours on one worker of xeon-thread; with early stopping about " in costs
    assert described.startswith("xeon-thread: one processor thread of Intel(R) Xeon(R) Processor, ")


def test_diagnostics_are_counted_at_every_moment_that_a_trial_reaches(capsys):
    asked = {"gradients": True, "at": [0, 40, 50, "end"], "samples": 200}
    scheduler = {"method": "asha", "grace": 20, "reduction_factor": 2}
    plain, plan = adding(scheduler=scheduler), adding(scheduler=scheduler, diagnostics=asked)
    (cell,) = plan.cells
    n = cell.hidden
    per_sample = 20 * (2 * n + n * n + n + n) + (n + 1)
    once = 10 * 4 * per_sample * 200  # of ten trials: two forward, and two backward to the states
    full, stopped = diagnostics_cost(plan, device(ONLY_OPERATIONS))
    assert full.operations == pytest.approx(4 * once)
    # All are diagnosed at steps 0 and 40, and half at 50; a quarter trains on after the report at
    # 80, to the end.
    assert stopped.operations == pytest.approx((1 + 1 + 0.5 + 0.25) * once)
    assert full.seconds == pytest.approx(full.operations)  # an operation takes a second here
    for whole, without, part in zip(
        estimate_cost(plan, device(ONLY_OPERATIONS)),
        estimate_cost(plain, device(ONLY_OPERATIONS)),
        (full, stopped),
        strict=True,
    ):
        assert whole.operations == pytest.approx(without.operations + part.operations)
    print_plan(plan, device(ONLY_OPERATIONS), Console(width=200))
    printed = capsys.readouterr().out
    assert f"diagnostics are {full.operations:.2g}".replace("e+", "e") in printed
    print_plan(plain, device(ONLY_OPERATIONS), Console(width=200))
    assert "diagnostics are" not in capsys.readouterr().out
