"""Trials whose record is damaged or incomplete start over; all other trials stay."""

import json

from orchestrator.ledger import Ledger
from orchestrator.plan.remaining import TrialSelection
from orchestrator.running.settlement import settled_trials
from tests.support.studies import Folder, completed, errored, stopped, subtracted


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
