"""Tests the best reports of trials, also of ledgers that were written before there were any."""

import shutil
from pathlib import Path

import duckdb
import pytest

from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.ledger.schema import BEST
from tests.support.rows import plain

RECORDED = Path(__file__).parent / "recorded" / "version-3"
CELL = "digits_gru_d1_p2000"


@pytest.fixture
def folder(tmp_path):
    """Copy the ledger that the release before version 4 wrote."""
    return Path(shutil.copytree(RECORDED, tmp_path / "ledger"))


def best_by_duckdb(folder: Path) -> dict[str, dict[str, object]]:
    """Return the report with the lowest objective, the first of equals, of each trial."""
    rows = duckdb.sql(
        f"select * exclude (reported) from read_parquet('{folder}/results/*/*.parquet') "
        "where objective is not null "
        "qualify row_number() over (partition by trial order by objective, step) = 1"
    )
    names = rows.columns
    return {
        row["trial"]: {column: row[name] for name, column in BEST.items()}
        for row in (dict(zip(names, values, strict=True)) for values in rows.fetchall())
    }


def test_a_ledger_of_the_release_before_has_best_reports(folder):
    trials = Ledger(folder).trials()
    expected = best_by_duckdb(folder)
    assert set(expected) == {f"{CELL}_{index:05d}" for index in (0, 1, 3)}
    for row in trials.to_dict("records"):
        found = {column: plain(row[column]) for column in BEST.values()}
        unknown = dict.fromkeys(BEST.values()) | {"best_step": 0}
        assert found == expected.get(row["trial"], unknown)
    assert [*trials["best_step"]] == [8, 4, 0, 4]


def test_asked_for_one_column_an_older_ledger_returns_that_column(folder):
    frame = Ledger(folder).trials(["best_evaluation_loss"])
    assert [*frame.columns] == ["trial", "sequence", "best_evaluation_loss", "cell"]
    assert plain(list(frame["best_evaluation_loss"])) == [1.0, 1.6, None, 1.2]
    assert [*Ledger(folder).trials(["outcome"]).columns] == ["trial", "sequence", "outcome", "cell"]


def test_rows_of_both_versions_stand_in_one_ledger_also_after_a_merge(folder):
    writer = LedgerWriter(folder, sequence=100)
    row = {"trial": f"{CELL}_00004", "outcome": "completed", "best_step": 2, "best_objective": 0.1}
    writer.add("trials", CELL, row)
    writer.flush()
    expected = [8, 4, 0, 4, 2]
    assert [*Ledger(folder).trials()["best_step"]] == expected
    writer.compact()
    assert len(list(folder.glob("trials/*/*.parquet"))) == 1
    assert [*Ledger(folder).trials()["best_step"]] == expected


def test_a_trial_without_an_objective_is_looked_up_in_no_report(folder, monkeypatch):
    """Its best step is 0; only rows of an older version make the reader read reports."""
    shutil.rmtree(folder / "trials")
    writer = LedgerWriter(folder, sequence=100)
    writer.add("trials", CELL, {"trial": f"{CELL}_00002", "outcome": "infeasible", "best_step": 0})
    writer.flush()
    monkeypatch.setattr(Ledger, "results", None)
    (row,) = Ledger(folder).trials().to_dict("records")
    assert (row["best_step"], plain(row["best_objective"])) == (0, None)
