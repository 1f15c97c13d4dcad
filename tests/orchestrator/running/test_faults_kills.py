"""Kills processes of sweeps at random; the completed sweeps equal undisturbed ones."""

import json
import random
import signal

import pytest
from mlflow import MlflowClient
from ray.tune.schedulers import AsyncHyperBandScheduler

from orchestrator.outcome import FINAL
from orchestrator.plan.plan import index_of
from tests.support.faults import ASHA, ONE_SLOT, SWEEP, Place, kill
from tests.support.mlflow_search import runs_of_trials


class Hits:
    """Kills processes of a sweep's runs at random points, and resumes it until it is complete.

    A point is a number of training steps since the last kill, or the first moment at which the
    victim exists.
    """

    def __init__(self, place, seed, victims, steps):
        self.place, self.chance, self.steps = place, random.Random(seed), steps
        self.victims = list(victims)
        self.chance.shuffle(self.victims)
        self.hits, self.runs = [], 0
        self.recorded_ends = {}

    def run(self):
        """Run and resume the sweep until all victims are killed and a run exits with 0."""
        while True:
            process = self._begin()
            while process.poll() is None and self.victims:
                self._hit(process)
            if not self.victims and process.wait(timeout=300) == 0:
                return
            self._check_record(process)

    def _begin(self):
        command = ("resume", "hit") if self.runs else ("run", "hit.yaml")
        # Processes of the run before may still be dying; the next run must not wait for them.
        self.runs += 1
        return self.place.start(*command)

    def _hit(self, process):
        victim, at_once = self.victims[-1]
        aim = self.place.steps() + (0 if at_once else self.chance.randint(*self.steps))

        def possible_victims():
            if process.poll() is not None:
                return [None]  # the run has ended meanwhile
            if self.place.steps() < aim:
                return []
            if victim == "driver":
                return [process] if self.place.members(process, "raylet") else []
            return self.place.members(process, victim)

        candidates = self.place.until(possible_victims)
        chosen = candidates if victim == "raylet" else [self.chance.choice(candidates)]
        if chosen[0] is None or process.poll() is not None or not kill(chosen):
            return
        self.victims.pop()
        self.hits.append((victim, aim))
        if victim == "driver":
            assert process.wait() == -signal.SIGKILL
        elif victim != "worker":
            assert process.wait(timeout=120) == 1

    def _check_record(self, process):
        """Assert that trials recorded as ended before stay recorded, unchanged."""
        place = self.place
        output = place.said(process)
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 1, output
            last = output.strip().splitlines()[-1]
            assert "everything recorded is in" in last and last.endswith("resume hit"), output
        ended = place.ended_trials()
        assert ended.items() >= self.recorded_ends.items()
        self.recorded_ends = ended


def victims(**counts):
    return [(name, at_once) for name, moments in counts.items() for at_once in moments]


LATER, AT_ONCE = False, True


@pytest.mark.slow
def test_a_sweep_hit_by_twenty_kills_has_the_numbers_of_an_undisturbed_sweep(tmp_path, store):
    wanted = victims(
        worker=[LATER] * 11 + [AT_ONCE] * 2,
        driver=[LATER] * 3 + [AT_ONCE],
        raylet=[LATER] * 2,
        gcs_server=[LATER],
    )
    with Place(tmp_path / "hit", store) as place, Place(tmp_path / "plain", store) as plain:
        undisturbed = plain.start("run", "hit.yaml")
        hits = Hits(place, 11, wanted, steps=(5, 60))
        hits.run()
        plain.ended(undisturbed, 0)
        assert len(hits.hits) >= 20
        place.assert_nothing_is_doubled()
        assert len(place.trials()) == 60
        place.assert_same_as(plain)
        # A trial whose end was recorded when its driver died did not train again.
        assert place.ended_trials().items() >= hits.recorded_ends.items()
        assert set(place.outcomes()) == {"completed", "infeasible"}
        assert place.status()["checkpoints_bytes"] == 0
        # MLflow has caught up with what was recorded before each kill.
        client = MlflowClient(tracking_uri=place.paths.mlflow_store)
        experiment = client.get_experiment_by_name("hit")
        runs = runs_of_trials(client, experiment.experiment_id)
        assert sorted(run.data.tags["trial"] for run in runs) == sorted(place.ended_trials())
        assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}


@pytest.mark.slow
def test_the_stopped_trials_of_a_killed_asha_sweep_follow_from_its_recorded_reports(
    tmp_path, store
):
    """With two workers, decisions depend on the order in which reports arrive."""
    wanted = victims(worker=[LATER] * 4, driver=[LATER] * 2, raylet=[LATER])
    with Place(tmp_path / "hit", store, scheduler=ASHA) as place:
        Hits(place, 12, wanted, steps=(5, 60)).run()
        place.assert_nothing_is_doubled()
        trials = place.ledger.trials()
        planned = {trial.id: trial for trial in place.plan.trials()}
        assert len(trials) == len(planned) == 60
        assert set(trials["outcome"]) <= set(FINAL) and set(trials["outcome"]) > {"stopped"}
        drawn = {
            name: json.dumps(t.definition["configuration"], sort_keys=True)
            for name, t in planned.items()
        }
        assert dict(zip(trials["trial"], trials["configuration"], strict=True)) == drawn
        for cell, group in trials.groupby("cell"):
            assert decisions(place, cell) == set(group.loc[group["outcome"] == "stopped", "trial"])


def decisions(place, cell):
    """Return the trials that Ray's own scheduler stops if it gets a cell's reports in order."""
    scheduler = AsyncHyperBandScheduler(
        time_attr="step",
        metric="objective",
        mode="min",
        grace_period=ASHA["grace"],
        reduction_factor=ASHA["reduction_factor"],
        max_t=24,
    )
    results = place.ledger.results(["objective"])
    stopped = {}
    trials = {}
    for row in results[results["cell"] == cell].itertuples():
        trial = trials.setdefault(row.trial, type("Known", (), {"trial_id": row.trial})())
        if row.trial not in scheduler._trial_info:
            assert row.trial not in stopped, "it reported after it was stopped"
            scheduler.on_trial_add(None, trial)
        if row.objective != row.objective:  # an infeasible report enters no rung
            continue
        report = {"step": row.step, "objective": row.objective}
        if row.step < 24 and scheduler.on_trial_result(None, trial, report) == "STOP":
            stopped[row.trial] = row.step
        if row.step == 24 or row.trial in stopped:
            scheduler.on_trial_complete(None, trial, report)
    return set(stopped)


LEARNING = {
    "architectures": ["rnn", "gru"],
    "tasks": [{"name": "own:Watched", "options": {"pause": 0.004}}],
    "search": {"method": "gp", "samples": 26, "space": SWEEP["search"]["space"]},
    "scheduler": {**ASHA, "brackets": 2},
    "resources": ONE_SLOT,
}


@pytest.mark.slow
def test_with_one_worker_five_kills_of_the_driver_change_no_decision(tmp_path, store):
    """Proposals, brackets and rungs are those of a sweep that was never killed."""
    with (
        Place(tmp_path / "hit", store, **LEARNING) as place,
        Place(tmp_path / "plain", store, **LEARNING) as plain,
    ):
        plain.call("run", "hit.yaml")
        chance = random.Random(13)
        points = sorted(chance.sample(range(20, plain.steps() * 9 // 10), 4))
        for kills in range(6):
            command = ("resume", "hit") if kills else ("run", "hit.yaml")
            process = place.start(*command)
            if kills < 4:
                place.until(lambda aim=points[kills]: place.steps() >= aim, process)
            elif kills == 4:  # while a proposal is computed
                place.until(lambda run=process: place.members(run, "ray::propose"), process)
            else:
                place.ended(process, 0)
                break
            process.kill()
            assert process.wait() == -signal.SIGKILL
        place.assert_nothing_is_doubled()
        place.assert_same_as(plain)
        assert place.orders() == plain.orders()
        assert set(place.outcomes()) == {"completed", "stopped", "infeasible"}
        planned, trials = place.plan, place.ledger.trials(["configuration"])
        cells = {cell.id: cell for cell in planned.cells}
        learnt = [
            trial
            for cell, trial, configuration in trials[["cell", "trial", "configuration"]].to_numpy()
            if planned.configuration(cells[cell], index_of(cell, trial))
            != json.loads(configuration)
        ]
        assert len(learnt) >= 4, "too few trials of a Gaussian process to show anything"


@pytest.mark.slow
def test_a_run_whose_ray_processes_are_all_killed_names_the_command_that_resumes_it(
    tmp_path, store
):
    with Place(tmp_path / "hit", store, architectures=["rnn"]) as place:
        process = place.start("run", "hit.yaml")
        place.until(lambda: place.steps() > 100, process)
        kill(member for member in place.family(process) if member.pid != process.pid)
        place.ended(process, 1)
        *_, last = place.said(process).strip().splitlines()
        assert last.startswith("Ray died (")
        assert "); everything recorded is in results/hit/ledger. Go on with: " in last
        assert last.endswith(" resume hit")
        assert "Traceback" not in place.said(process)
        place.gone(process)
        assert place.status()["state"] == "unfinished"
        before = place.ended_trials()
        place.call("resume", "hit")
        place.assert_nothing_is_doubled()
        assert place.ended_trials().items() >= before.items()
        assert len(place.trials()) == 20
