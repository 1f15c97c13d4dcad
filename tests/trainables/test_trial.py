"""Tests a trial without a cluster: its reports, the reuse of its actor and its end."""

import math

import pytest
import ray
import torch
from ray.tune.result import DONE

from tests.support.trainers import begun
from tests.support.trials import CELLS, definition, plain, run
from trainables import tasks
from trainables.architectures import build
from trainables.training import Schedule, Trainer
from trainables.trial import Trial

pytestmark = pytest.mark.usefixtures("ray_folder")


def test_a_trial_reports_after_every_interval_and_is_done_after_its_last_step():
    reports = run(Trial(config={"definition": definition()}))
    assert [report["step"] for report in reports] == [4, 8, 11]
    assert [report[DONE] for report in reports] == [False, False, True]
    assert not any(report["infeasible"] for report in reports)
    assert reports[-1]["validation_loss"] != reports[0]["validation_loss"]
    assert len(reports[0]["lane_validation_losses"]) == 2
    assert len(set(reports[0]["lane_validation_losses"])) == 2


@pytest.mark.parametrize("index", range(len(CELLS)))
def test_a_trial_reports_the_scores_of_training_its_definition(index):
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


def test_a_trial_starts_no_cluster():
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
    trial = begun(Trial(config={"definition": definition()}))
    with torch.no_grad():
        trial._trainer.network.readout_weight[0] = torch.nan
    reports = run(trial)
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
