"""Tests a trial without a cluster: its reports, the reuse of its actor and its end."""

import json
import math

import numpy as np
import pytest
import ray
import torch
from ray.tune.result import DONE

from tests.support.trainers import begun
from tests.support.trials import CELLS, definition, plain, run
from trainables import tasks
from trainables.architectures import build
from trainables.definition import identity_of
from trainables.diagnostics import Settings, diagnose
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


def test_a_trial_that_is_judged_by_its_best_report_has_the_lowest_objective_so_far():
    """Its losses are those of each report all the same."""
    shape = {"learning": {"learning_rate": 0.5, "optimizer": "adam"}, "evaluation_interval": 1}
    shape["steps"] = 60
    last = run(Trial(config={"definition": definition(**shape)}))
    best = run(Trial(config={"definition": definition(**shape, report="best")}))
    losses = [report["validation_loss"] for report in last]
    assert [report["objective"] for report in last] == losses
    assert [report["validation_loss"] for report in best] == losses
    lowest = [min(losses[: number + 1]) for number in range(len(losses))]
    assert [report["objective"] for report in best] == lowest
    assert lowest != losses


def test_a_trial_reports_at_the_steps_of_a_schedule():
    stretches = [{"every": 2, "until": 6}, {"every": 4}]
    for interval, steps in ((stretches, [2, 4, 6, 10, 11]), ([3, 9], [3, 9, 11])):
        reports = run(Trial(config={"definition": definition(evaluation_interval=interval)}))
        assert [report["step"] for report in reports] == steps


def test_checkpoints_of_the_release_before_are_those_of_the_same_trial():
    """It knew neither of these keys, and wrote the definition as it was."""
    today = definition()
    before = {k: v for k, v in today.items() if k not in ("report", "paired", "diagnostics")}
    assert identity_of(today) == json.dumps(before, sort_keys=True)
    for changed in ({"report": "best"}, {"paired": True}):
        assert identity_of(definition(**changed)) != identity_of(today)


AT = {"lyapunov": True, "gradients": True, "hessian": 0, "samples": 8, "at": [0, 4, 6, 11]}


def diagnosed(**changed):
    return definition(diagnostics=AT, **changed)


def test_a_trial_is_diagnosed_at_its_steps_and_trains_as_without():
    reports = run(Trial(config={"definition": diagnosed()}))
    steps = [[one["step"] for one in report["diagnostics"]] for report in reports]
    assert [sorted(set(each)) for each in steps] == [[0, 4], [6], [11]]
    kinds = {(one["quantity"], one["lane"], one["layer"]) for one in reports[1]["diagnostics"]}
    quantities = ("lyapunov_exponents", "gradient_norms")
    assert kinds == {(quantity, lane, 0) for quantity in quantities for lane in (0, 1)}
    undisturbed = run(Trial(config={"definition": definition()}))
    assert [report["lane_evaluation_losses"] for report in reports] == [
        report["lane_evaluation_losses"] for report in undisturbed
    ]


def test_the_untrained_networks_are_diagnosed_before_the_first_step():
    (first, *_) = run(Trial(config={"definition": diagnosed()}))
    trainer = Trial(config={"definition": definition()})._make_trainer()
    settings = Settings(lyapunov=True, gradients=True, samples=8)
    measured = diagnose(trainer.network, trainer.task, trainer.held_out("evaluation"), settings)
    *before, power = [one for one in first["diagnostics"] if one["step"] == 0]
    assert [one["values"] for one in before] == [one["values"] for one in measured]
    assert (power["quantity"], power["lane"], power["layer"]) == ("input_power", 0, -1)
    inputs = trainer.held_out("evaluation").inputs[0, :, :8].double().numpy()
    transformed = np.fft.rfft(inputs - inputs.mean(0), axis=0)
    powers = (np.abs(transformed) ** 2 / len(inputs)).sum(-1).mean(-1)
    np.testing.assert_allclose(power["values"], powers, rtol=1e-12, atol=1e-14)


def test_one_trial_of_a_cell_records_the_spectrum_of_the_inputs():
    reports = run(Trial(config={"definition": diagnosed(index=1)}))
    quantities = {one["quantity"] for report in reports for one in report["diagnostics"]}
    assert quantities == {"lyapunov_exponents", "gradient_norms"}


def test_no_network_is_diagnosed_once_all_are_infeasible():
    explosive = {"learning_rate": 1e30, "optimizer": "sgd"}
    reports = run(Trial(config={"definition": diagnosed(learning=explosive)}))
    assert reports[-1]["infeasible"]
    assert {one["step"] for report in reports for one in report["diagnostics"]} == {0}
