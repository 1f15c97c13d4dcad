"""Trials whose record is damaged or incomplete start over; all other trials stay."""

import json

import pytest

from orchestrator.ledger import Ledger
from orchestrator.plan.remaining import TrialSelection
from orchestrator.running.settlement import settled_trials
from tests.support.rows import files
from tests.support.studies import (
    Folder,
    completed,
    diagnosed,
    errored,
    infeasible,
    stopped,
    subtracted,
)


def reports(*steps):
    return {"reports": [{"step": step, "objective": 0.5} for step in steps]}


COMPLETED = completed(0.5, 0.5, **reports(4, 8, 12, 16))


def test_trials_that_lost_reports_to_a_damaged_file_start_over(tmp_path, caplog):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", COMPLETED, stopped() | reports(4, 8))
    folder.fill("rnn", None, None, COMPLETED, reports(4, 8))  # a second file
    rnn, gru = (cell.id for cell in folder.plan.cells)
    second = sorted(folder.paths.ledger.glob("results/*/part-*.parquet"))[1]
    second.write_bytes(second.read_bytes()[:-9])

    left = subtracted(folder.plan, folder.paths)

    # The third trial lost its reports; of the fourth, which has not ended, nothing is left.
    assert [*left.indices[rnn]] == [2, 3, 4, 5] and len(left.indices[gru]) == 6
    assert left.record.curves == {} and left.undecided == {}
    assert sorted(left.record.trials["trial"]) == [f"{rnn}_00000", f"{rnn}_00001"]
    messages = [record.getMessage() for record in caplog.records]
    assert "not a whole Parquet file" in messages[0]
    assert messages[1:] == [
        f"{folder.paths.ledger}: 1 trials lack a part of their record and start over"
    ]
    assert folder.sql("select count(*) from trials") == [(2,)]
    # A second call finds nothing to repair.
    caplog.clear()
    assert subtracted(folder.plan, folder.paths).indices == left.indices
    assert not caplog.records


def test_a_trial_with_a_gap_in_its_reports_starts_over(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", reports(4))
    cell = folder.plan.cells[0].id
    (part,) = folder.paths.ledger.glob("results/*/part-*.parquet")
    part.write_bytes(b"")
    folder.write({f"{cell}_00000": reports(8)})
    left = subtracted(folder.plan, folder.paths)
    assert left.record.curves == {}
    assert len(Ledger(folder.paths.ledger).results()) == 0


def test_a_gp_trial_whose_recorded_configuration_is_gone_starts_over(tmp_path):
    folder = Folder.of(tmp_path, search={"method": "gp", "samples": 6})
    folder.fill("rnn", reports(4, 8, 12, 16), reports(4), errored() | reports(4), COMPLETED)
    folder.fill("rnn", *[None] * 4, reports(4, 8, 12, 16))
    rnn = folder.plan.cells[0].id
    first, _ = sorted(folder.paths.ledger.glob("starts/*/part-*.parquet"))
    first.unlink()
    left = subtracted(folder.plan, folder.paths)
    # Only the last trial's start is left; the errored and the completed trial have their own rows.
    assert [*left.indices[rnn]] == [0, 1, 2, 4, 5]
    assert sorted(left.record.curves) == [f"{rnn}_00002", f"{rnn}_00004"]
    settled = [*settled_trials(folder.plan, left, set())]
    assert [d["trial"] for d, *_ in settled] == [f"{rnn}_00004"]
    (recorded,) = folder.sql("select configuration from starts")
    assert settled[0][0]["configuration"] == json.loads(recorded[0])
    errored_left = subtracted(folder.plan, folder.paths, TrialSelection(unfinished=False))
    row = left.record.trials.set_index("trial")["configuration"][f"{rnn}_00002"]
    assert errored_left.configurations()[f"{rnn}_00002"] == json.loads(row)


def of(*steps):
    rows = [
        diagnosed("lyapunov_exponents", [0.1], lane=lane, step=s) for s in steps for lane in (0, 1)
    ]
    return {"diagnostics": rows}


@pytest.mark.parametrize("lost", ["nothing", "a file"])
def test_trials_whose_diagnostics_are_gone_start_over(tmp_path, lost):
    asked = {"lyapunov": True, "at": [0, 8, "end"]}
    folder = Folder.of(tmp_path, architectures=["rnn"], diagnostics=asked)
    (cell,) = folder.plan.cells
    ends = [
        COMPLETED | of(0, 8, 16),
        stopped() | of(0, 8),  # it never came to its last step
        infeasible() | of(0),  # at step 16: there was no network left to diagnose
        reports(4) | of(0),
        COMPLETED | of(0, 16),
    ]
    for index, end in enumerate(ends):
        folder.write({f"{cell.id}_{index:05d}": end})
    if lost == "a file":
        files(folder.paths.ledger, "diagnostics")[1].unlink()
    left = subtracted(folder.plan, folder.paths)
    dropped = [1, 4] if lost == "a file" else [4]
    assert [*left.indices[cell.id]] == sorted({*dropped, 3, 5})
    (kept,) = folder.sql("select list_sort(list(distinct trial)) from diagnostics")
    wanted = [f"{cell.id}_{index:05d}" for index in range(5) if index not in dropped]
    assert kept == (wanted,)


def test_a_sweep_that_asks_for_no_diagnostics_lacks_none(tmp_path):
    folder = Folder.of(tmp_path, architectures=["rnn"])
    folder.fill("rnn", COMPLETED)
    left = subtracted(folder.plan, folder.paths)
    assert [*left.indices[folder.plan.cells[0].id]] == [1, 2, 3, 4, 5]
