"""Many small files of a ledger become few, and no reader ever misses or doubles a row."""

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
from orchestrator.ledger import parts as module
from orchestrator.ledger import writer as writing
from orchestrator.ledger.parts import Part, parts, superseded
from orchestrator.ledger.schema import DATASETS
from tests.support.rows import ended, files, records, report
from trainables import storage


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it."""


def raw(folder, dataset="results"):
    """Every row of every file, as a user's duckdb sees them, in the order of their numbers."""
    return duckdb.sql(
        f"select sequence, trial, step, validation_loss, cell from read_parquet("
        f"'{folder}/{dataset}/*/*.parquet', hive_partitioning = true) order by sequence"
    ).fetchall()


def seen(folder):
    """The same by our own reader."""
    columns = ("sequence", "trial", "step", "validation_loss", "cell")
    return [tuple(row[c] for c in columns) for row in records(Ledger(folder).results())]


def flush_rows(writer, first, count, cell="a"):
    """One row a flush; returns what was written."""
    rows = []
    for number in range(first, first + count):
        sequence = writer.add("results", cell, report(f"t{number}", number, number / 7))
        rows.append((sequence, f"t{number}", number, number / 7, cell))
        writer.flush()
    return rows


def lay(folder, *spans, dataset="results", cell="a"):
    """Empty files with the names of parts."""
    place = folder / dataset / f"cell={cell}"
    place.mkdir(parents=True, exist_ok=True)
    for first, last in spans:
        (place / f"part-{first:012d}-{last:012d}.parquet").touch()
    return place


@pytest.mark.parametrize(
    ("there", "count", "left_over"),
    [
        ([], [], []),
        ([(5, 5), (0, 3), (6, 20)], [(0, 3), (5, 5), (6, 20)], []),
        ([(0, 3), (4, 4), (0, 4)], [(0, 4)], [(0, 3), (4, 4)]),
        ([(0, 4), (4, 4)], [(0, 4)], [(4, 4)]),
        ([(0, 4), (0, 9), (5, 9), (6, 9), (10, 12)], [(0, 9), (10, 12)], [(0, 4), (5, 9), (6, 9)]),
        ([(3, 3), (3, 7), (9, 9)], [(3, 7), (9, 9)], [(3, 3)]),
    ],
)
def test_the_names_say_what_a_merged_part_stands_for(tmp_path, there, count, left_over):
    place = lay(tmp_path, *there)
    lay(tmp_path, (0, 99), cell="b")  # of another cell, and of another dataset: no matter
    lay(tmp_path, (0, 99), dataset="trials")
    (place / "part-1-2.parquet").touch()
    (place / ".part-000000000000-000000000099.parquet.tmp").touch()
    assert [(part.first, part.last) for part in parts(tmp_path, "results", "a")] == count
    assert [(part.first, part.last) for part in superseded(tmp_path)] == left_over
    everything = parts(tmp_path, "results")
    assert [(part.cell, part.first) for part in everything] == [
        *(("a", first) for first, _ in count),
        ("b", 0),
    ]
    assert all(part.path.exists() for part in everything)


def test_a_dataset_that_is_not_there_has_no_parts(tmp_path):
    assert parts(tmp_path, "results") == parts(tmp_path, "results", "a") == []
    assert [*superseded(tmp_path)] == []


def test_many_flushes_leave_few_files_and_merging_writes_less_than_they(tmp_path, monkeypatch):
    written, write = {True: 0, False: 0}, storage.write

    def count(where, content, durable=False):
        write(where, content, durable)
        written[pq.read_metadata(where).num_rows > 1] += where.stat().st_size

    monkeypatch.setattr(storage, "write", count)
    rows = flush_rows(LedgerWriter(tmp_path), 0, 600)
    assert raw(tmp_path) == seen(tmp_path) == rows
    # At most fifteen of one row, fifteen of sixteen, and two of 256: in the base sixteen.
    assert len(files(tmp_path)) <= 15 + 15 + 2
    assert 0 < written[True] < 0.75 * written[False]


def test_cells_that_are_written_together_are_not_merged_together(tmp_path, monkeypatch):
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
        there = [len(parts(tmp_path, "results", cell)) for cell in cells]
        assert max(there) <= 24 + 24
    assert max(merges) == 1 + 2 * 16 // 16
    assert sum(merges) > 16 * 64 / 24
    assert len(seen(tmp_path)) == len(raw(tmp_path)) == 16 * 64


def test_what_is_large_is_not_merged_again(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "LARGEST_MERGED", 3000)
    rows = flush_rows(LedgerWriter(tmp_path), 0, 40)
    assert raw(tmp_path) == rows
    assert len(files(tmp_path)) == 40  # each is larger


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
        patch.setattr(writing, "MERGED_AT_ONCE", at_once)
        writer, wanted, waiting = LedgerWriter(folder), [], []
        number = 0
        for index, (cell, count, flush) in enumerate(steps):
            for _ in range(count):
                sequence = writer.add("results", cell, report(f"t{number}", 1, number / 3))
                waiting.append((sequence, f"t{number}", 1, number / 3, cell))
                number += 1
            if flush or index in reopened:
                writer.flush()
                wanted, waiting = wanted + waiting, []
            if index in reopened:
                writer = LedgerWriter(folder, number)
        assert seen(folder) == wanted
        assert (raw(folder) if files(folder) else []) == wanted
        assert [sequence for sequence, *_ in wanted] == [*range(len(wanted))]
        writer.flush()
        assert seen(folder) == wanted + waiting


@pytest.mark.parametrize("deleted", range(17))
def test_a_merge_cut_off_counts_nothing_twice_and_is_cleared_away(tmp_path, monkeypatch, deleted):
    """Killed after the merged part appeared, and after some of the others were deleted."""
    unlink, gone = Path.unlink, []

    def until_killed(path, missing_ok=False):
        if len(gone) == deleted:
            raise Killed
        gone.append(path)
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
    assert seen(tmp_path) == rows
    # A run that comes later goes on as if the merge had been whole.
    writer = LedgerWriter(tmp_path, 16)
    assert len(files(tmp_path)) == 1
    rows += flush_rows(writer, 16, 20)
    assert raw(tmp_path) == seen(tmp_path) == rows


def test_a_merge_cut_off_before_its_file_appears_leaves_all_as_it_was(tmp_path, monkeypatch):
    rename = Path.rename

    def kill_the_merged(path, target):
        if Path(target).name == "part-000000000000-000000000015.parquet":
            raise Killed
        return rename(path, target)

    writer = LedgerWriter(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", kill_the_merged)
        with pytest.raises(Killed):
            flush_rows(writer, 0, 16)
    assert [step for _, _, step, *_ in raw(tmp_path)] == [*range(16)]
    assert len([*tmp_path.rglob(".*.tmp")]) == 1
    LedgerWriter(tmp_path, 16)
    assert not [*tmp_path.rglob(".*.tmp")]
    assert [step for _, _, step, *_ in seen(tmp_path)] == [*range(16)]


def test_a_disk_that_is_full_when_it_comes_to_merging_loses_and_doubles_nothing(
    tmp_path, monkeypatch
):
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
            patch.setattr(module.pq, "write_table", full)
            with pytest.raises(OSError, match="No space left"):
                writer.flush()
        assert raw(tmp_path) == seen(tmp_path) == rows
    writer.flush()  # of the trials that were kept
    assert [*Ledger(tmp_path).trials()["sequence"]] == [other - 2, other]
    rows += flush_rows(LedgerWriter(tmp_path, 19), 19, 3)
    assert raw(tmp_path) == seen(tmp_path) == rows
    assert len(files(tmp_path, "results")) < 10


def test_a_damaged_part_is_set_aside_when_others_are_merged(tmp_path, caplog):
    writer = LedgerWriter(tmp_path)
    rows = flush_rows(writer, 0, 10)
    third = files(tmp_path)[2]
    third.write_bytes(b"PAR1")
    rows = rows[:2] + rows[3:] + flush_rows(writer, 10, 10)
    assert raw(tmp_path) == seen(tmp_path) == rows
    assert third.with_name(f"_damaged-{third.name}.aside").exists()
    assert "not a whole Parquet file" in caplog.text


def test_a_part_that_another_process_set_aside_does_not_end_the_run(tmp_path):
    """`soundings status` reads while a sweep runs; what is damaged is gone for the writer too."""
    writer = LedgerWriter(tmp_path)
    rows = flush_rows(writer, 0, 10)
    files(tmp_path)[2].write_bytes(b"PAR1")
    assert len(seen(tmp_path)) == 9
    rows = rows[:2] + rows[3:] + flush_rows(writer, 10, 10)
    assert raw(tmp_path) == seen(tmp_path) == rows


def test_a_reader_beside_a_writer_that_merges_sees_every_row_once(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MERGED_AT_ONCE", 3)
    flushes, flushed, trouble = 250, [0], []

    def write():
        writer = LedgerWriter(tmp_path)
        try:
            for number in range(flushes):
                writer.add("results", "a", report(f"t{number}", number))
                writer.flush()
                flushed[0] = number + 1
        except BaseException as error:
            trouble.append(error)
            raise
        finally:
            over.set()

    over = threading.Event()
    thread = threading.Thread(target=write)
    thread.start()
    looks = 0
    while not over.is_set() or not looks:
        before = flushed[0]
        found = [*Ledger(tmp_path).results([])["step"]]
        assert found == [*range(len(found))]
        assert before <= len(found) <= flushed[0] + 1
        looks += 1
    thread.join()
    assert trouble == [] and looks > 5
    assert [*Ledger(tmp_path).results([])["step"]] == [*range(flushes)]


def many_small(folder, monkeypatch, count):
    """A ledger of so many files of one row, in two cells; returns its rows by cell."""
    with monkeypatch.context() as patch:
        patch.setattr(writing, "MERGED_AT_ONCE", 10**6)
        writer = LedgerWriter(folder)
        for number in range(count):
            cell = "ab"[number % 2]
            writer.add("results", cell, report(f"t{number}", number, number / 7))
            writer.flush()
    assert len(files(folder)) == count
    return sorted(raw(folder))


def test_compaction_leaves_one_file_a_cell(tmp_path, monkeypatch):
    rows = many_small(tmp_path, monkeypatch, 300)
    LedgerWriter(tmp_path, 300).compact()
    assert len(files(tmp_path)) == 2
    assert sorted(raw(tmp_path)) == seen(tmp_path) == rows
    written = [path.stat().st_mtime_ns for path in files(tmp_path)]
    LedgerWriter(tmp_path, 300).compact()  # there is nothing to do any more
    assert [path.stat().st_mtime_ns for path in files(tmp_path)] == written


def test_compaction_makes_no_file_that_is_too_large(tmp_path, monkeypatch):
    rows = many_small(tmp_path, monkeypatch, 60)
    size = max(path.stat().st_size for path in files(tmp_path))
    monkeypatch.setattr(writing, "LARGEST_MERGED", 10 * size)
    LedgerWriter(tmp_path, 60).compact()
    assert 6 <= len(files(tmp_path)) <= 8
    assert sorted(raw(tmp_path)) == seen(tmp_path) == rows


COMPACT = """
import sys
from pathlib import Path
from orchestrator.ledger import LedgerWriter
print("begins", flush=True)
LedgerWriter(Path(sys.argv[1]), 400).compact()
"""


def test_compaction_that_is_killed_beside_a_reader_loses_and_doubles_nothing(tmp_path, monkeypatch):
    """A real process, killed when so many of its files have gone or appeared."""
    rows = many_small(tmp_path, monkeypatch, 400)
    kills = 0
    for left in (400, 330, 201, 3):
        command = [sys.executable, "-c", COMPACT, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()
        while process.poll() is None:
            if len(files(tmp_path)) <= left:
                process.kill()
            assert seen(tmp_path) == rows
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        assert seen(tmp_path) == rows
    assert kills > 0
    LedgerWriter(tmp_path, 400).compact()
    assert len(files(tmp_path)) == 2 and not [*tmp_path.rglob(".*.tmp")]
    assert sorted(raw(tmp_path)) == seen(tmp_path) == rows


def test_a_reader_that_finds_a_file_gone_looks_again(tmp_path, monkeypatch):
    """The worst moment: it listed the files, then they were merged."""
    writer = LedgerWriter(tmp_path)
    rows = flush_rows(writer, 0, 15)
    opened, whole = [], pq.ParquetFile

    def slow(path, **options):
        opened.append(path)
        if len(opened) == 5:
            rows.extend(flush_rows(writer, 15, 1))  # merges all sixteen
        return whole(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("orchestrator.ledger.reader.pq.ParquetFile", slow)
        assert seen(tmp_path) == rows
    assert len(files(tmp_path)) == 1


def forgettable(folder, flushes):
    """Rows of six trials of two cells in all datasets, some merged, by dataset."""
    writer, rows = LedgerWriter(folder), {dataset: [] for dataset in DATASETS}
    for number in range(flushes):
        for cell in "ab":
            trial = f"{cell}{number % 3}"
            for dataset, row in [
                ("starts", {"trial": trial, "index": number % 3}),
                ("results", report(trial, number)),
                ("trials", ended(trial, "errored")),
            ]:
                rows[dataset].append((writer.add(dataset, cell, row), trial))
        writer.flush()
    return rows


@pytest.mark.parametrize("flushes", [1, 3, 20])
def test_forgetting_takes_exactly_the_trials_named_out_of_all_datasets(tmp_path, flushes):
    rows = forgettable(tmp_path, flushes)
    LedgerWriter(tmp_path).forget({"a": {"a0", "a2"}, "b": {"b1", "a1"}, "none": {"a1"}})
    for dataset in DATASETS:
        found = duckdb.sql(
            f"select sequence, trial from read_parquet('{tmp_path}/{dataset}/*/*.parquet') "
            "order by sequence"
        ).fetchall()
        # Trial a1 of cell b is not there; that of cell a was not named.
        assert found == [row for row in rows[dataset] if row[1] in {"a1", "b0", "b2"}]
    kept = {"a1", "b0", "b2"} & {trial for _, trial in rows["trials"]}
    ledger = Ledger(tmp_path)
    assert {*ledger.trials()["trial"]} == {*ledger.starts()["trial"]} == kept


def test_forgetting_cut_off_is_whole_for_a_part_or_not_at_all(tmp_path, monkeypatch):
    rows = forgettable(tmp_path, 5)["results"]
    unlink, gone = Path.unlink, []

    def until_killed(path, missing_ok=False):
        gone.append(path)
        if len(gone) > 7:  # five parts of starts go first
            raise Killed
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", until_killed)
        with pytest.raises(Killed):
            LedgerWriter(tmp_path).forget({"a": {"a0"}})
    left = [row for row in rows if row[1] != "a0"]
    for _ in range(2):
        assert [(s, t) for s, t, *_ in seen(tmp_path)] == left
        LedgerWriter(tmp_path)
    assert [(s, t) for s, t, *_ in raw(tmp_path)] == left


def test_forgetting_everything_leaves_a_ledger_that_can_be_written_on(tmp_path):
    forgettable(tmp_path, 3)
    LedgerWriter(tmp_path).forget({"a": {"a0", "a1", "a2"}, "b": {"b0", "b1", "b2"}})
    assert all(len(getattr(Ledger(tmp_path), dataset)()) == 0 for dataset in DATASETS)
    last = max(part.last for dataset in DATASETS for part in parts(tmp_path, dataset))
    rows = flush_rows(LedgerWriter(tmp_path, last + 1), 0, 20)
    assert raw(tmp_path) == seen(tmp_path) == rows


def test_a_part_is_more_than_itself_only_of_others(tmp_path):
    part = Part(3, 7, tmp_path)
    assert not part.stands_for(part)
    assert part.stands_for(Part(3, 3, tmp_path)) and part.stands_for(Part(4, 7, tmp_path))
    assert not part.stands_for(Part(2, 4, tmp_path)) and not part.stands_for(Part(7, 8, tmp_path))
