"""The ledger merges many small files into few; no reader ever misses or doubles a row."""

import errno
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.ledger import parts as parts_module
from orchestrator.ledger import writer as writer_module
from orchestrator.ledger.parts import Part, parts, superseded
from orchestrator.ledger.schema import DATASETS
from tests.support.rows import diagnosis, ended, files, records, report
from trainables import storage


class Killed(BaseException):
    """Stands for the end of a process, since no code catches it."""


def rows_by_duckdb(folder, dataset="results"):
    """Return the rows of all files as duckdb reads them, by sequence number."""
    return duckdb.sql(
        f"select sequence, trial, step, validation_loss, cell from read_parquet("
        f"'{folder}/{dataset}/*/*.parquet', hive_partitioning = true) order by sequence"
    ).fetchall()


def rows_by_ledger(folder):
    """Return the rows as ``Ledger`` reads them, with the same columns."""
    columns = ("sequence", "trial", "step", "validation_loss", "cell")
    return [tuple(row[c] for c in columns) for row in records(Ledger(folder).results())]


def flush_rows(writer, first, count, cell="a"):
    """Write one row per flush and return the rows."""
    rows = []
    for number in range(first, first + count):
        sequence = writer.add("results", cell, report(f"t{number}", number, number / 7))
        rows.append((sequence, f"t{number}", number, number / 7, cell))
        writer.flush()
    return rows


def create_parts(folder, *spans, dataset="results", cell="a"):
    """Create empty files with the names of parts and return their folder."""
    folder_of_cell = folder / dataset / f"cell={cell}"
    folder_of_cell.mkdir(parents=True, exist_ok=True)
    for first, last in spans:
        (folder_of_cell / f"part-{first:012d}-{last:012d}.parquet").touch()
    return folder_of_cell


@pytest.mark.parametrize(
    ("existing", "current", "left_over"),
    [
        ([], [], []),
        ([(5, 5), (0, 3), (6, 20)], [(0, 3), (5, 5), (6, 20)], []),
        ([(0, 3), (4, 4), (0, 4)], [(0, 4)], [(0, 3), (4, 4)]),
        ([(0, 4), (4, 4)], [(0, 4)], [(4, 4)]),
        ([(0, 4), (0, 9), (5, 9), (6, 9), (10, 12)], [(0, 9), (10, 12)], [(0, 4), (5, 9), (6, 9)]),
        ([(3, 3), (3, 7), (9, 9)], [(3, 7), (9, 9)], [(3, 3)]),
    ],
)
def test_parts_that_a_merged_part_stands_for_are_superseded(tmp_path, existing, current, left_over):
    folder_of_cell = create_parts(tmp_path, *existing)
    create_parts(tmp_path, (0, 99), cell="b")  # another cell and another dataset do not matter
    create_parts(tmp_path, (0, 99), dataset="trials")
    (folder_of_cell / "part-1-2.parquet").touch()
    (folder_of_cell / ".part-000000000000-000000000099.parquet.tmp").touch()
    assert [(part.first, part.last) for part in parts(tmp_path, "results", "a")] == current
    assert [(part.first, part.last) for part in superseded(tmp_path)] == left_over
    everything = parts(tmp_path, "results")
    assert [(part.cell, part.first) for part in everything] == [
        *(("a", first) for first, _ in current),
        ("b", 0),
    ]
    assert all(part.path.exists() for part in everything)


def test_a_dataset_that_is_not_there_has_no_parts(tmp_path):
    assert parts(tmp_path, "results") == parts(tmp_path, "results", "a") == []
    assert [*superseded(tmp_path)] == []


def test_merging_leaves_few_files_and_writes_less_than_the_flushes(tmp_path, monkeypatch):
    bytes_by_merged, write = {True: 0, False: 0}, storage.write

    def count(where, content, durable=False):
        write(where, content, durable)
        bytes_by_merged[pq.read_metadata(where).num_rows > 1] += where.stat().st_size

    monkeypatch.setattr(storage, "write", count)
    rows = flush_rows(LedgerWriter(tmp_path), 0, 600)
    assert rows_by_duckdb(tmp_path) == rows_by_ledger(tmp_path) == rows
    # Merging takes 16 parts at once: at most 15 of one row, 15 of 16 rows and two of 256 are left.
    assert len(files(tmp_path)) <= 15 + 15 + 2
    assert 0 < bytes_by_merged[True] < 0.75 * bytes_by_merged[False]


def test_cells_that_are_flushed_together_are_merged_at_different_flushes(tmp_path, monkeypatch):
    merges, merge = [], LedgerWriter._merge

    def count(writer, dataset, cell, old, *rest):
        merges[-1] += 1
        merge(writer, dataset, cell, old, *rest)

    monkeypatch.setattr(LedgerWriter, "_merge", count)
    writer, cells = LedgerWriter(tmp_path), [f"c{number}" for number in range(16)]
    for number in range(64):
        merges.append(0)
        for cell in cells:
            writer.add("results", cell, report(f"{cell}-{number}", 1, 0.5))
        writer.flush()
        part_counts = [len(parts(tmp_path, "results", cell)) for cell in cells]
        assert max(part_counts) <= 24 + 24
    assert max(merges) == 1 + 2 * 16 // 16
    assert sum(merges) > 16 * 64 / 24
    assert len(rows_by_ledger(tmp_path)) == len(rows_by_duckdb(tmp_path)) == 16 * 64


def test_parts_above_the_size_limit_are_not_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "LARGEST_MERGED", 3000)
    rows = flush_rows(LedgerWriter(tmp_path), 0, 40)
    assert rows_by_duckdb(tmp_path) == rows
    assert len(files(tmp_path)) == 40  # each merged part would be larger


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.booleans()), max_size=40),
    at_once=st.integers(2, 5),
    reopened=st.sets(st.integers(0, 40), max_size=4),
)
def test_any_history_of_adding_and_flushing_reads_as_a_plain_list(
    tmp_path_factory, steps, at_once, reopened
):
    folder = tmp_path_factory.mktemp("ledger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "MERGED_AT_ONCE", at_once)
        writer, flushed, waiting = LedgerWriter(folder), [], []
        number = 0
        for index, (cell, count, flush) in enumerate(steps):
            for _ in range(count):
                sequence = writer.add("results", cell, report(f"t{number}", 1, number / 3))
                waiting.append((sequence, f"t{number}", 1, number / 3, cell))
                number += 1
            if flush or index in reopened:
                writer.flush()
                flushed, waiting = flushed + waiting, []
            if index in reopened:
                writer = LedgerWriter(folder, number)
        assert rows_by_ledger(folder) == flushed
        assert (rows_by_duckdb(folder) if files(folder) else []) == flushed
        assert [sequence for sequence, *_ in flushed] == [*range(len(flushed))]
        writer.flush()
        assert rows_by_ledger(folder) == flushed + waiting


@pytest.mark.parametrize("deleted", range(17))
def test_a_merge_killed_while_deleting_doubles_no_row_and_is_finished_by_the_next_run(
    tmp_path, monkeypatch, deleted
):
    """The process dies after the merged part appeared and some of the merged ones were deleted."""
    unlink, unlinked = Path.unlink, []

    def until_killed(path, missing_ok=False):
        if len(unlinked) == deleted:
            raise Killed
        unlinked.append(path)
        unlink(path, missing_ok=missing_ok)

    writer = LedgerWriter(tmp_path)
    rows = flush_rows(writer, 0, 15)
    assert len(files(tmp_path)) == 15
    writer.add("results", "a", report("t15", 15, 15 / 7))
    rows.append((15, "t15", 15, 15 / 7, "a"))
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", until_killed)
        if deleted < 16:
            with pytest.raises(Killed):
                writer.flush()
        else:
            writer.flush()
    assert len(files(tmp_path)) == 17 - deleted
    assert rows_by_ledger(tmp_path) == rows
    # A later run deletes the superseded parts and goes on.
    writer = LedgerWriter(tmp_path, 16)
    assert len(files(tmp_path)) == 1
    rows += flush_rows(writer, 16, 20)
    assert rows_by_duckdb(tmp_path) == rows_by_ledger(tmp_path) == rows


def test_a_merge_killed_before_its_file_appears_leaves_all_rows_as_they_were(tmp_path, monkeypatch):
    rename = Path.rename

    def kill_the_merged(path, target):
        if f"-{0:019d}-{15:019d}-" in Path(target).name:
            raise Killed
        return rename(path, target)

    writer = LedgerWriter(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", kill_the_merged)
        with pytest.raises(Killed):
            flush_rows(writer, 0, 16)
    assert [step for _, _, step, *_ in rows_by_duckdb(tmp_path)] == [*range(16)]
    assert len([*tmp_path.rglob(".*.tmp")]) == 1
    LedgerWriter(tmp_path, 16)
    assert not [*tmp_path.rglob(".*.tmp")]
    assert [step for _, _, step, *_ in rows_by_ledger(tmp_path)] == [*range(16)]


def test_a_full_disk_during_a_merge_loses_and_doubles_no_row(tmp_path, monkeypatch):
    write = pq.write_table

    def full(table, where, **options):
        if len(table) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(table, where, **options)

    writer = LedgerWriter(tmp_path)
    rows = flush_rows(writer, 0, 15)
    for number in (15, 16):
        sequence = writer.add("results", "a", report(f"t{number}", number, number / 7))
        rows.append((sequence, f"t{number}", number, number / 7, "a"))
        other = writer.add("trials", "a", ended(f"t{number}"))
        with monkeypatch.context() as patch:
            patch.setattr(parts_module.pq, "write_table", full)
            with pytest.raises(OSError, match="No space left"):
                writer.flush()
        assert rows_by_duckdb(tmp_path) == rows_by_ledger(tmp_path) == rows
    writer.flush()  # writes the rows of trials that the failed flushes kept
    assert [*Ledger(tmp_path).trials()["sequence"]] == [other - 2, other]
    rows += flush_rows(LedgerWriter(tmp_path, 19), 19, 3)
    assert rows_by_duckdb(tmp_path) == rows_by_ledger(tmp_path) == rows
    assert len(files(tmp_path, "results")) < 10


def test_a_damaged_part_is_set_aside_when_others_are_merged(tmp_path, caplog):
    writer = LedgerWriter(tmp_path)
    rows = flush_rows(writer, 0, 10)
    third = files(tmp_path)[2]
    third.write_bytes(b"PAR1")
    rows = rows[:2] + rows[3:] + flush_rows(writer, 10, 10)
    assert rows_by_duckdb(tmp_path) == rows_by_ledger(tmp_path) == rows
    assert third.with_name(f"_damaged-{third.name}.aside").exists()
    assert "not a whole Parquet file" in caplog.text


def test_a_merge_skips_a_part_that_another_process_set_aside(tmp_path):
    """`soundings status` reads while a sweep runs, and sets damaged files aside before a merge."""
    writer = LedgerWriter(tmp_path)
    rows = flush_rows(writer, 0, 10)
    files(tmp_path)[2].write_bytes(b"PAR1")
    assert len(rows_by_ledger(tmp_path)) == 9
    rows = rows[:2] + rows[3:] + flush_rows(writer, 10, 10)
    assert rows_by_duckdb(tmp_path) == rows_by_ledger(tmp_path) == rows


def test_a_reader_beside_a_writer_that_merges_sees_every_row_once(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "MERGED_AT_ONCE", 3)
    flushes, flushed, errors = 250, [0], []

    def write():
        writer = LedgerWriter(tmp_path)
        try:
            for number in range(flushes):
                writer.add("results", "a", report(f"t{number}", number))
                writer.flush()
                flushed[0] = number + 1
        except BaseException as error:
            errors.append(error)
            raise
        finally:
            finished.set()

    finished = threading.Event()
    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not finished.is_set() or not reads:
        before = flushed[0]
        steps = [*Ledger(tmp_path).results([])["step"]]
        assert steps == [*range(len(steps))]
        assert before <= len(steps) <= flushed[0] + 1
        reads += 1
    thread.join()
    assert errors == [] and reads > 5
    assert [*Ledger(tmp_path).results([])["step"]] == [*range(flushes)]


def write_small_files(folder, monkeypatch, count):
    """Write a ledger of ``count`` files with one row each, in two cells, and return its rows."""
    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "MERGED_AT_ONCE", 10**6)
        writer = LedgerWriter(folder)
        for number in range(count):
            cell = "ab"[number % 2]
            writer.add("results", cell, report(f"t{number}", number, number / 7))
            writer.flush()
    assert len(files(folder)) == count
    return sorted(rows_by_duckdb(folder))


def test_compaction_leaves_one_file_a_cell(tmp_path, monkeypatch):
    rows = write_small_files(tmp_path, monkeypatch, 300)
    LedgerWriter(tmp_path, 300).compact()
    assert len(files(tmp_path)) == 2
    assert sorted(rows_by_duckdb(tmp_path)) == rows_by_ledger(tmp_path) == rows
    written = [path.stat().st_mtime_ns for path in files(tmp_path)]
    LedgerWriter(tmp_path, 300).compact()  # has nothing left to do
    assert [path.stat().st_mtime_ns for path in files(tmp_path)] == written


def test_compaction_makes_no_file_that_is_too_large(tmp_path, monkeypatch):
    rows = write_small_files(tmp_path, monkeypatch, 60)
    size = max(path.stat().st_size for path in files(tmp_path))
    monkeypatch.setattr(writer_module, "LARGEST_MERGED", 10 * size)
    LedgerWriter(tmp_path, 60).compact()
    assert 6 <= len(files(tmp_path)) <= 8
    assert sorted(rows_by_duckdb(tmp_path)) == rows_by_ledger(tmp_path) == rows


COMPACT = """
import sys
from pathlib import Path
from orchestrator.ledger import LedgerWriter
print("begins", flush=True)
LedgerWriter(Path(sys.argv[1]), 400).compact()
"""


def test_a_compaction_killed_beside_a_reader_loses_and_doubles_no_row(tmp_path, monkeypatch):
    """A real process is killed once so many files are left."""
    rows = write_small_files(tmp_path, monkeypatch, 400)
    kills = 0
    for left in (400, 330, 201, 3):
        command = [sys.executable, "-c", COMPACT, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()
        while process.poll() is None:
            if len(files(tmp_path)) <= left:
                process.kill()
            assert rows_by_ledger(tmp_path) == rows
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        assert rows_by_ledger(tmp_path) == rows
    assert kills > 0
    LedgerWriter(tmp_path, 400).compact()
    assert len(files(tmp_path)) == 2 and not [*tmp_path.rglob(".*.tmp")]
    assert sorted(rows_by_duckdb(tmp_path)) == rows_by_ledger(tmp_path) == rows


def test_a_reader_that_finds_a_file_gone_looks_again(tmp_path, monkeypatch):
    """The files are merged after the reader has listed them."""
    writer = LedgerWriter(tmp_path)
    rows = flush_rows(writer, 0, 15)
    opened, parquet_file = [], pq.ParquetFile

    def slow(path, **options):
        opened.append(path)
        if len(opened) == 5:
            rows.extend(flush_rows(writer, 15, 1))  # merges all sixteen
        return parquet_file(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("orchestrator.ledger.reader.pq.ParquetFile", slow)
        assert rows_by_ledger(tmp_path) == rows
    assert len(files(tmp_path)) == 1


def write_six_trials(folder, flushes):
    """Write rows of six trials of two cells into all datasets; return them by dataset."""
    writer, rows = LedgerWriter(folder), {dataset: [] for dataset in DATASETS}
    for number in range(flushes):
        for cell in "ab":
            trial = f"{cell}{number % 3}"
            for dataset, row in [
                ("starts", {"trial": trial, "index": number % 3}),
                ("results", report(trial, number)),
                ("diagnostics", diagnosis(trial, number, [0.5])),
                ("trials", ended(trial, "errored")),
            ]:
                rows[dataset].append((writer.add(dataset, cell, row), trial))
        writer.flush()
    return rows


@pytest.mark.parametrize("flushes", [1, 3, 20])
def test_forget_removes_exactly_the_named_trials_from_all_datasets(tmp_path, flushes):
    rows = write_six_trials(tmp_path, flushes)
    LedgerWriter(tmp_path).forget({"a": {"a0", "a2"}, "b": {"b1", "a1"}, "none": {"a1"}})
    for dataset in DATASETS:
        rows_left = duckdb.sql(
            f"select sequence, trial from read_parquet('{tmp_path}/{dataset}/*/*.parquet') "
            "order by sequence"
        ).fetchall()
        # Cell b has no trial a1, and trial a1 of cell a was not named.
        assert rows_left == [row for row in rows[dataset] if row[1] in {"a1", "b0", "b2"}]
    kept = {"a1", "b0", "b2"} & {trial for _, trial in rows["trials"]}
    ledger = Ledger(tmp_path)
    assert {*ledger.trials()["trial"]} == {*ledger.starts()["trial"]} == kept


def test_forget_killed_while_deleting_files_shows_no_forgotten_row(tmp_path, monkeypatch):
    rows = write_six_trials(tmp_path, 5)["results"]
    unlink, unlinked = Path.unlink, []

    def until_killed(path, missing_ok=False):
        unlinked.append(path)
        if len(unlinked) > 12:  # the first ten are the parts of starts and diagnostics
            raise Killed
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", until_killed)
        with pytest.raises(Killed):
            LedgerWriter(tmp_path).forget({"a": {"a0"}})
    rows_left = [row for row in rows if row[1] != "a0"]
    for _ in range(2):
        assert [(s, t) for s, t, *_ in rows_by_ledger(tmp_path)] == rows_left
        LedgerWriter(tmp_path)
    assert [(s, t) for s, t, *_ in rows_by_duckdb(tmp_path)] == rows_left


def test_a_ledger_can_be_written_on_after_all_trials_are_forgotten(tmp_path):
    write_six_trials(tmp_path, 3)
    LedgerWriter(tmp_path).forget({"a": {"a0", "a1", "a2"}, "b": {"b0", "b1", "b2"}})
    assert all(len(getattr(Ledger(tmp_path), dataset)()) == 0 for dataset in DATASETS)
    last = max(part.last for dataset in DATASETS for part in parts(tmp_path, dataset))
    rows = flush_rows(LedgerWriter(tmp_path, last + 1), 0, 20)
    assert rows_by_duckdb(tmp_path) == rows_by_ledger(tmp_path) == rows


def test_a_part_stands_for_parts_of_its_author_inside_its_range_but_not_for_itself(tmp_path):
    def part(first, last, author="000001-0000000a"):
        return Part(first, last, tmp_path, f"{author}-{first}-{last}", author)

    assert not part(3, 7).stands_for(part(3, 7))
    assert part(3, 7).stands_for(part(3, 3)) and part(3, 7).stands_for(part(4, 7))
    assert not part(3, 7).stands_for(part(2, 4)) and not part(3, 7).stands_for(part(7, 8))
    assert not part(3, 7).stands_for(part(4, 5, "000002-0000000b"))
