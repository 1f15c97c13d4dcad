"""Writing to a ledger shows no half-written file, and loses or doubles no row."""

import errno
import io

import pyarrow.parquet as pq
import pytest

from orchestrator.ledger import Ledger, LedgerWriter
from tests.support.rows import ended, files, records, report
from trainables import storage


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def ready(tmp_path):
    """Return a writer with rows of two cells in both datasets, not yet flushed."""
    writer = LedgerWriter(tmp_path, sequence=7)
    for cell in ("a", "b"):
        for step in (1, 2):
            writer.add("results", cell, report(f"{cell}0", step))
        writer.add("trials", cell, ended(f"{cell}0"))
    return writer


def everything(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nothing_is_on_the_disk_before_a_flush(tmp_path, ready):
    assert everything(tmp_path) == []
    ready.flush()
    assert len(files(tmp_path, "results")) == len(files(tmp_path, "trials")) == 2
    assert sorted(everything(tmp_path)) == files(tmp_path)
    ready.flush()  # has nothing to write
    assert len(everything(tmp_path)) == 4


def test_rows_are_numbered_in_the_order_in_which_they_are_added(tmp_path):
    writer = LedgerWriter(tmp_path, sequence=100)
    numbers = [writer.add("results", "a", report("t", step)) for step in range(3)]
    assert [*numbers, writer.add("trials", "b", ended("t"))] == [100, 101, 102, 103]
    writer.flush()
    assert writer.add("results", "a", report("t", 3)) == 104
    writer.flush()
    assert [*Ledger(tmp_path).results()["sequence"]] == [100, 101, 102, 104]


class BreakingFile(io.FileIO):
    """Writes half of the content and then raises the error of a full disk."""

    def write(self, content):
        super().write(content[: len(content) // 2])
        full_disk()


@pytest.mark.parametrize("broken", ["write", "rename"])
def test_a_write_that_fails_leaves_nothing_and_keeps_the_rows(tmp_path, ready, monkeypatch, broken):
    with monkeypatch.context() as patch:
        if broken == "write":
            patch.setattr("pathlib.Path.open", lambda path, mode: BreakingFile(path, mode))
        else:
            patch.setattr("pathlib.Path.rename", full_disk)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                ready.flush()
            assert everything(tmp_path) == []
    ready.add("trials", "a", ended("a1"))
    ready.flush()
    assert [(r["trial"], r["step"]) for r in records(Ledger(tmp_path).results())] == [
        ("a0", 1),
        ("a0", 2),
        ("b0", 1),
        ("b0", 2),
    ]
    assert [*Ledger(tmp_path).trials()["trial"]] == ["a0", "b0", "a1"]
    assert sum(pq.read_metadata(path).num_rows for path in files(tmp_path)) == 4 + 3


@pytest.mark.parametrize("after", range(4))
def test_files_written_before_a_failure_are_not_written_again(tmp_path, ready, monkeypatch, after):
    written, write = [], storage.write

    def until_full(where, content, durable=False):
        if len(written) == after:
            full_disk()
        written.append(where)
        write(where, content, durable)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", until_full)
        with pytest.raises(OSError, match="No space left"):
            ready.flush()
    assert len(everything(tmp_path)) == len(files(tmp_path)) == after
    # Results are written before trials, so that a trial that has a row has all its results.
    trials, results = Ledger(tmp_path).trials(), Ledger(tmp_path).results()
    assert len(trials) == 0 or len(results) == 4
    ready.flush()
    assert len(everything(tmp_path)) == 4
    assert sum(pq.read_metadata(path).num_rows for path in files(tmp_path)) == 4 + 2


def test_a_flush_into_a_blocked_folder_raises_and_can_be_repeated(tmp_path, ready):
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(OSError, match="results"):
        ready.flush()
    (tmp_path / "results").unlink()
    ready.flush()
    assert len(Ledger(tmp_path).results()) == 4


def test_nan_is_written_as_null_also_inside_lists(tmp_path):
    nan = float("nan")
    writer = LedgerWriter(tmp_path)
    lanes = {"lane_validation_losses": [nan, 1.5, None], "lane_infeasible_at": [3, None]}
    writer.add("results", "a", report("t", 1, nan, training_loss=float("inf"), **lanes))
    writer.flush()
    (path,) = files(tmp_path)
    (row,) = pq.ParquetFile(path).read().to_pylist()
    assert (row["validation_loss"], row["training_loss"]) == (None, float("inf"))
    assert row["lane_validation_losses"] == [None, 1.5, None]
    assert row["lane_infeasible_at"] == [3, None]
    assert row["seconds"] is None  # a column that was not given
