"""Files of a ledger that cannot be read are named and set aside; the rest is read."""

import logging
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import BadInput, RunFailed
from orchestrator.ledger import Ledger, LedgerWriter, reader
from orchestrator.ledger.schema import RESULTS
from tests.support.paths import ROOT
from tests.support.rows import files, report, write


@pytest.fixture
def folder_and_file(tmp_path):
    """Write an intact file and one to be damaged; return the folder and the latter."""
    write(tmp_path, "results", [report("whole", step) for step in (1, 2)])
    return tmp_path, write(tmp_path, "results", [report("other", step) for step in (1, 2)], "b", 2)


DAMAGE = {
    "empty": lambda content: b"",
    "garbage": lambda content: b"not Parquet at all" * 40,
    "garbage between the right ends": lambda content: b"PAR1" + bytes(500) + b"PAR1",
    "one byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-1],
    "without its beginning": lambda content: content[1:],
    "a hole": lambda content: content[:100] + bytes(200) + content[300:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_named_set_aside_and_left_out(folder_and_file, damage, caplog):
    folder, path = folder_and_file
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    for _ in range(2):
        assert [*Ledger(folder).results()["trial"]] == ["whole", "whole"]
    (warning,) = caplog.records  # the second reading finds no damaged file
    assert (warning.name, warning.levelno) == ("soundings", logging.WARNING)
    aside = path.with_name(f"_damaged-{path.name}.aside")
    assert warning.getMessage().startswith(f"{path}: not a whole Parquet file (")
    assert warning.getMessage().endswith(f"set aside as {aside.name}, the rest is used")
    assert "\n" not in warning.getMessage()
    assert not path.exists()
    assert aside.read_bytes() == damaged  # nothing is thrown away
    assert len(files(folder)) == 1


def test_a_damaged_file_that_cannot_be_moved_is_left_out(folder_and_file, monkeypatch, caplog):
    folder, path = folder_and_file
    path.write_bytes(b"")

    def refuse(*names):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    assert len(Ledger(folder).results()) == 2
    assert "left out, the rest is used" in caplog.text
    assert path.exists()


def test_an_input_output_error_is_raised_and_sets_no_file_aside(folder_and_file, monkeypatch):
    folder, path = folder_and_file

    def broken(*args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pq, "ParquetFile", broken)
    with pytest.raises(OSError, match="Input/output"):
        Ledger(folder).results()
    assert path.exists()


@pytest.mark.parametrize("version", [b"1", b"2", b"10", b"x", None])
def test_a_file_of_another_version_is_bad_input_and_stays(folder_and_file, version):
    folder, path = folder_and_file
    table = pq.read_table(path).replace_schema_metadata(
        {} if version is None else {"soundings.ledger.version": version}
    )
    pq.write_table(table.append_column("new", pa.array([1, 2])), path)
    with pytest.raises(BadInput) as caught:
        Ledger(folder).results()
    shown = "0" if version is None else version.decode()
    assert str(caught.value) == (
        f"{path}: written in version {shown} of the ledger, but this Soundings reads version 4 "
        "and those before it that were released; use the release that wrote it"
    )
    assert path.exists()


def test_a_file_that_lacks_a_column_is_set_aside(folder_and_file, caplog):
    folder, path = folder_and_file
    table = pq.ParquetFile(path).read()
    assert table.schema.metadata == RESULTS.metadata
    pq.write_table(table.drop_columns("validation_loss"), path)
    assert [*Ledger(folder).results()["trial"]] == ["whole", "whole"]
    assert "validation_loss" in caplog.text


def test_a_ledger_that_does_not_exist_reads_as_empty(tmp_path):
    for frame in (Ledger(tmp_path / "none").trials(), Ledger(tmp_path / "none").results()):
        assert len(frame) == 0
        assert {"trial", "cell", "sequence"} <= {*frame.columns}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bits_change_no_number_and_do_not_break_the_reader(tmp_path_factory, data, caplog):
    folder = tmp_path_factory.mktemp("ledger")
    lanes = {"lane_validation_losses": [0.5, None]}
    path = write(folder, "results", [report(f"t{i}", i, i / 7, **lanes) for i in range(20)])
    original, content = Ledger(folder).results(), bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        read = Ledger(folder).results()
    except BadInput as error:  # a flipped bit hit the version
        assert str(error).startswith(f"{path}: written in version")
    else:
        assert read.equals(original if path.exists() else original.head(0))


# -- files that are whole ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        pa.lib.ArrowMemoryError("malloc of size 4194304 failed"),
        pa.lib.ArrowCancelled("Operation cancelled"),
        OSError("ZSTD decompression failed: Allocation error : not enough memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("old_name", [False, True])
def test_a_whole_file_that_cannot_be_read_is_an_error_of_the_machine(
    folder_and_file, monkeypatch, error, old_name
):
    folder, path = folder_and_file
    if old_name:  # release 0.1.0 wrote no checksum: only want of memory is no proof of damage
        path = path.rename(path.with_name("part-000000000002-000000000003.parquet"))

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(pq, "ParquetFile", fail)
    if old_name and isinstance(error, pa.lib.ArrowCancelled):
        return
    with pytest.raises(RunFailed, match="although the file is whole"):
        Ledger(folder).results()
    assert path.exists()


def test_a_file_that_asks_for_absurd_memory_is_damaged(folder_and_file, monkeypatch):
    """A flipped bit in a size is not the machine's want of memory."""
    folder, path = folder_and_file
    path = path.rename(path.with_name("part-000000000002-000000000003.parquet"))

    def fail(where):
        if where == path:
            raise pa.lib.ArrowMemoryError("malloc of size 1152921504606846976 failed")
        return real(where)

    real = reader._open
    monkeypatch.setattr(reader, "_open", fail)
    assert [*Ledger(folder).results()["trial"]] == ["whole", "whole"]
    assert not path.exists()


MEMORY = """
import resource, sys
from pathlib import Path
from orchestrator.errors import RunFailed
from orchestrator.ledger import Ledger

folder = Path(sys.argv[1])
files = sorted(folder.rglob("*"))
expected = len(Ledger(folder).results())
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for megabytes in (1, 2, 4, 8, 16, 32, 64, 128):
    resource.setrlimit(resource.RLIMIT_AS, (held + megabytes * 2**20, -1))
    try:
        assert len(Ledger(folder).results()) == expected
    except (RunFailed, MemoryError, OSError, RuntimeError):
        pass
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    assert sorted(folder.rglob("*")) == files, megabytes
"""


def test_no_file_is_set_aside_whatever_memory_a_real_process_has(tmp_path):
    lanes = {"lane_validation_losses": [number / 7 for number in range(300)]}
    write(tmp_path, "results", [report(f"t{n}", 1, n / 3, **lanes) for n in range(9000)])
    command = [sys.executable, "-c", MEMORY, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_link_that_leads_nowhere_is_named_and_stays(folder_and_file, tmp_path):
    """As git-annex and DVC leave them where the content was not fetched."""
    folder, path = folder_and_file
    path.unlink()
    path.symlink_to(tmp_path / "annex" / "objects" / "x")
    with pytest.raises(BadInput, match=f"{path}, a link to .*/annex/objects/x: listed, but"):
        Ledger(folder).results()
    writer = LedgerWriter(folder, 10)
    with pytest.raises(BadInput, match="a link to"):
        writer.forget({"b": {"other"}})
    assert path.is_symlink()


@pytest.mark.parametrize("name", [b"a\xff", b"s3:b", b"file:b", "é".encode()])
def test_a_folder_of_any_name_is_read(tmp_path, name):
    """Arrow itself takes some names for URLs, and refuses those that are no text."""
    folder = tmp_path / os.fsdecode(name)
    write(folder, "results", [report("whole", 1, 0.5)])
    assert [*Ledger(folder).results()["trial"]] == ["whole"]


def test_a_file_that_was_moved_to_another_dataset_is_not_called_damaged(folder_and_file):
    folder, path = folder_and_file
    (folder / "trials" / path.parent.name).mkdir(parents=True, exist_ok=True)
    moved = path.rename(folder / "trials" / path.parent.name / path.name)
    with pytest.raises(RunFailed, match="although the file is whole: it is of another dataset"):
        Ledger(folder).trials()
    assert moved.exists()
