"""A trial without a cluster: reports, reuse of an actor, the end."""

import math

import pytest
import ray
import torch
from ray.tune.result import DONE

from tests.support.networks import configuration
from tests.support.trainers import begun
from trainables import tasks
from trainables.architectures import build
from trainables.training import Schedule, Trainer
from trainables.trial import Trial

MEASURED = (
    "step",
    "infeasible",
    "lane_infeasible_at",
    "objective",
    "further",
    "training_loss",
    "validation_loss",
    "evaluation_loss",
    "validation_metric",
    "evaluation_metric",
    "lane_validation_losses",
    "lane_evaluation_losses",
    "lane_validation_metrics",
    "lane_evaluation_metrics",
    DONE,
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Ray writes the directories of its trainables below the test's own."""
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path / "ray"))


def definition(architecture="gru", **changed):
    options = changed.get("architecture_options", {})
    learning = changed.pop("learning", {"learning_rate": 1e-2, "optimizer": "adam"})
    return {
        "trial": "a",
        "cell": "b",
        "index": 0,
        "architecture": architecture,
        "architecture_options": options,
        "depth": 1,
        "hidden": 4,
        "parameters": 500,
        "task": "memory",
        "task_options": {"size": 3, "delay": 4, "held_out_size": 20},
        "replicates": 2,
        "steps": 11,
        "batch_size": 4,
        "evaluation_interval": 4,
        "divergence_threshold": 1e4,
        "objective": "loss",
        "shared_batches": False,
        "gpus": 0.0,
        "configuration": configuration(architecture, options, 0, **learning),
        "network_seed": 1,
        "data_seed": 2,
        "first_lane": 0,
    } | changed


CELLS = [
    definition("gru"),
    definition("lstm", depth=2, hidden=3, steps=8),
    definition("intersection", depth=2, task="parentheses", task_options={"length": 5}),
    definition("wcrnn", architecture_options={"residual": "heterogeneous"}, replicates=3),
    definition("rnn", task="digits", task_options={}, evaluation_interval=11),
]


def measured(report):
    """What a report says about the training, without times and places."""
    return {key: report[key] for key in MEASURED}


def run(made):
    reports = []
    while not reports or not reports[-1][DONE]:
        reports.append(measured(made.train()))
    return reports


def plain(value):
    """Comparable: a number that is none equals itself."""
    return repr(value)


def test_a_trial_reports_after_every_interval_and_is_done_after_its_last_step():
    reports = run(Trial(config={"definition": definition()}))
    assert [report["step"] for report in reports] == [4, 8, 11]
    assert [report[DONE] for report in reports] == [False, False, True]
    assert not any(report["infeasible"] for report in reports)
    assert reports[-1]["validation_loss"] != reports[0]["validation_loss"]
    assert len(reports[0]["lane_validation_losses"]) == 2
    assert len(set(reports[0]["lane_validation_losses"])) == 2


@pytest.mark.parametrize("index", range(len(CELLS)))
def test_a_trial_is_the_training_of_its_definition(index):
    d = CELLS[index]
    task = tasks.make(d["task"], d["task_options"])
    net = build(
        d["architecture"],
        inputs=task.inputs,
        outputs=task.outputs,
        hidden=d["hidden"],
        depth=d["depth"],
        lanes=d["replicates"],
        options=d["architecture_options"],
    )
    schedule = Schedule(steps=d["steps"], batch_size=d["batch_size"], divergence_threshold=1e4)
    configurations = [d["configuration"]] * d["replicates"]
    trainer = Trainer(net, task, schedule, configurations, network_seed=1, data_seed=2)
    trainer.train(d["steps"])
    last = run(Trial(config={"definition": d}))[-1]
    for split in ("validation", "evaluation"):
        scores = trainer.evaluate(split)
        assert last[f"lane_{split}_losses"] == scores.losses
        assert last[f"lane_{split}_metrics"] == scores.metrics


def test_no_cluster_is_started():
    Trial(config={"definition": definition()}).train()
    assert not ray.is_initialized()


def test_a_trial_ends_early_when_every_lane_is_infeasible():
    explosive = {"learning_rate": 1e30, "optimizer": "sgd"}
    (report,) = run(Trial(config={"definition": definition(learning=explosive)}))
    assert report["infeasible"] is True
    assert report["lane_infeasible_at"] == [2, 2]
    assert report["step"] == 2
    assert math.isnan(report["validation_loss"])


def test_a_trial_goes_on_as_long_as_a_lane_is_feasible():
    made = begun(Trial(config={"definition": definition()}))
    with torch.no_grad():
        made._trainer.network.readout_weight[0] = torch.nan
    reports = run(made)
    assert [report["step"] for report in reports] == [4, 8, 11]
    assert all(report["lane_infeasible_at"] == [1, None] for report in reports)
    assert all(report["infeasible"] is False for report in reports)
    alone = reports[-1]["lane_validation_losses"][1]
    assert reports[-1]["validation_loss"] == (1e4 + alone) / 2


@pytest.mark.parametrize("after", range(len(CELLS)))
def test_an_actor_reused_for_another_cell_gives_the_numbers_of_a_fresh_one(after):
    first, second = CELLS[after - 1], CELLS[after]
    fresh = run(Trial(config={"definition": second}))
    reused = Trial(config={"definition": first})
    reused.train()
    assert reused.reset({"definition": second})
    assert plain(run(reused)) == plain(fresh)
