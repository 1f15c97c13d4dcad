"""A record of which a part is damaged or gone: its trials start over, the rest stays."""

import json

from orchestrator.ledger import Ledger
from orchestrator.plan.remaining import TrialSelection
from orchestrator.running.settlement import settled_trials
from tests.support.studies import Folder, completed, errored, stopped, subtracted


def reports(*steps):
    return {"reports": [{"step": step, "objective": 0.5} for step in steps]}


WHOLE = completed(0.5, 0.5, **reports(4, 8, 12, 16))


def test_trials_that_lost_reports_to_a_damaged_file_start_over(tmp_path, caplog):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", WHOLE, stopped() | reports(4, 8))
    folder.fill("rnn", None, None, WHOLE, reports(4, 8))  # a second file
    rnn, gru = (cell.id for cell in folder.plan.cells)
    second = sorted(folder.paths.ledger.glob("results/*/part-*.parquet"))[1]
    second.write_bytes(second.read_bytes()[:-9])

    left = subtracted(folder.plan, folder.paths)

    # The third lost its reports; of the fourth, which has no row, nothing is known any more.
    assert [*left.indices[rnn]] == [2, 3, 4, 5] and len(left.indices[gru]) == 6
    assert left.record.curves == {} and left.undecided == {}
    assert sorted(left.record.trials["trial"]) == [f"{rnn}_00000", f"{rnn}_00001"]
    said = [record.getMessage() for record in caplog.records]
    assert "not a whole Parquet file" in said[0]
    assert said[1:] == [
        f"{folder.paths.ledger}: 1 trials lack a part of their record and start over"
    ]
    assert folder.sql("select count(*) from trials") == [(2,)]
    # Once is enough.
    caplog.clear()
    assert subtracted(folder.plan, folder.paths).indices == left.indices
    assert not caplog.records


def test_a_trial_that_lost_a_report_in_the_middle_of_it_starts_over(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", reports(4))
    cell = folder.plan.cells[0].id
    (part,) = folder.paths.ledger.glob("results/*/part-*.parquet")
    part.write_bytes(b"")
    folder.write({f"{cell}_00000": reports(8)})
    left = subtracted(folder.plan, folder.paths)
    assert left.record.curves == {}
    assert len(Ledger(folder.paths.ledger).results()) == 0


def test_what_the_gp_proposed_is_not_made_up_where_the_record_of_it_is_gone(tmp_path):
    folder = Folder.of(tmp_path, search={"method": "gp", "samples": 6})
    folder.fill("rnn", reports(4, 8, 12, 16), reports(4), errored() | reports(4), WHOLE)
    folder.fill("rnn", *[None] * 4, reports(4, 8, 12, 16))
    rnn = folder.plan.cells[0].id
    first, _ = sorted(folder.paths.ledger.glob("starts/*/part-*.parquet"))
    first.unlink()
    left = subtracted(folder.plan, folder.paths)
    # Only the last one's start is there; the errored and the ended one have it in their rows.
    assert [*left.indices[rnn]] == [0, 1, 2, 4, 5]
    assert sorted(left.record.curves) == [f"{rnn}_00002", f"{rnn}_00004"]
    settled = [*settled_trials(folder.plan, left, set())]
    assert [d["trial"] for d, *_ in settled] == [f"{rnn}_00004"]
    (recorded,) = folder.sql("select configuration from starts")
    assert settled[0][0]["configuration"] == json.loads(recorded[0])
    asked = subtracted(folder.plan, folder.paths, TrialSelection(unfinished=False))
    row = left.record.trials.set_index("trial")["configuration"][f"{rnn}_00002"]
    assert asked.configurations()[f"{rnn}_00002"] == json.loads(row)
