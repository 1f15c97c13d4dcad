"""Runs one sweep whose trials go wrong in many ways beside trials that work."""

import json
import math
import shutil

import pytest
import yaml

from orchestrator.ledger import Ledger
from tests.support import odd_task
from tests.support.command import soundings
from tests.support.odd_task import REPAIRED, code
from trainables.plain_text import fit_text

GOOD = ("none", "surrogate_in_further", "leaves_folder", "inf_further", "nan_metric")
# What the error of each trial says.
BAD = {
    "surrogate_in_batch": "no such file: data-\\udcff\\x00.bin",
    "long_in_losses": "characters left out",
    "locked_in_batch": "Locked",
    "leave_in_batch": "SystemExit",
    "interrupt_in_baseline": "KeyboardInterrupt",
    "leaving_in_configured": "Leaving",
    "complex_baseline": "its baseline is",
    "memory_in_batch": "LockedMemory",
    "exit": "died",
}


@pytest.mark.slow
def test_bad_trials_are_errored_beside_good_ones_and_complete_once_they_are_mended(tmp_path, store):
    shutil.copy(odd_task.__file__, tmp_path / "odd.py")
    listed = [{"trouble": code(trouble), "l2": 0} for trouble in (*GOOD[:2], *BAD, *GOOD[2:])]
    sweep = {
        "name": "odd",
        "seed": 1,
        "architectures": ["rnn"],
        "depths": [1],
        "tasks": ["odd:Odd"],
        "budgets": [100],
        "search": {"method": "list", "configurations": listed},
        "scheduler": {"method": "asha", "grace": 6},
        "training": {"steps": 6, "evaluation_interval": 3},
        "recovery": {"retries": 0},
    }
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(sweep))
    results = tmp_path / "results"
    results.mkdir()
    store.rename(results / "mlflow.db")

    ran = soundings("run", "odd.yaml", cwd=tmp_path)
    assert ran.returncode == 1, ran.stderr
    trials = by_trouble(results)
    assert f"{len(BAD)} trials errored" in ran.stderr, trials["error"].to_dict()
    assert "Traceback" not in ran.stderr
    assert set(trials.loc[[*GOOD], "outcome"]) == {"completed"}
    assert set(trials.loc[[*BAD], "outcome"]) == {"errored"}
    for trouble, text in BAD.items():
        error = trials.loc[trouble, "error"]
        assert text in error and error == fit_text(error)
    assert trials.loc[[*GOOD], "error"].isna().all()
    assert math.isnan(trials.loc["nan_metric", "evaluation_metric"])
    assert json.loads(trials.loc["inf_further", "further"]) == {"one": 1.0}

    (tmp_path / REPAIRED).touch()
    resumed = soundings("resume", "odd", "--errored", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    after = by_trouble(results)
    assert set(after["outcome"]) == {"completed"} and len(after) == len(listed)
    good = after.loc[[*GOOD], "sequence"]
    assert (good == trials.loc[[*GOOD], "sequence"]).all()  # they were not run again
    results_ = Ledger(results / "odd/ledger").results()
    assert len(results_) == 2 * len(listed) and not results_.duplicated(["trial", "step"]).any()


def by_trouble(results):
    trials = Ledger(results / "odd/ledger").trials()
    numbers = [json.loads(text)["trouble"] for text in trials["configuration"]]
    return trials.assign(trouble=[odd_task.TROUBLES[n] for n in numbers]).set_index("trouble")
