"""Tests the cache of prepared arrays: made once, complete or absent, and bounded in number."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from trainables.data import DataError, generated, prepared
from trainables.data.prepared import from_files


def folders(cache, group="generated"):
    return [path for path in (cache / "prepared").iterdir() if path.name.startswith(f"{group}-")]


def never():
    raise AssertionError("made again")


def forget(monkeypatch):
    """Forget which arrays are open, as in a new process."""
    monkeypatch.setattr(prepared, "_opened", {})


def test_arrays_come_back_as_they_were_made(monkeypatch):
    expected = {
        "inputs": np.arange(12, dtype=np.float32).reshape(3, 4),
        "targets": np.array([], dtype=np.int64),
        "by_columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    }
    first = generated("a-1", lambda: expected)
    forget(monkeypatch)
    for arrays in (first, generated("a-1", never)):
        assert list(arrays) == list(expected)
        for name, array in arrays.items():
            assert isinstance(array, np.memmap)
            assert not array.flags.writeable
            assert array.dtype == expected[name].dtype
            np.testing.assert_array_equal(array, expected[name])


def test_arrays_of_one_name_are_made_once_and_opened_once():
    first = generated("a", lambda: {"x": np.ones(3)})
    first["y"] = np.zeros(1)  # a caller may change the dictionary, which is its own
    second = generated("a", never)
    assert list(second) == ["x"]
    assert second["x"] is first["x"]


def test_other_names_and_other_caches_have_other_arrays(tmp_path, monkeypatch):
    assert generated("a", lambda: {"x": np.ones(1)})["x"][0] == 1
    assert generated("b/../a", lambda: {"x": np.full(1, 2)})["x"][0] == 2
    monkeypatch.setenv("SOUNDINGS_CACHE", str(tmp_path / "another"))
    assert generated("a", lambda: {"x": np.full(1, 3)})["x"][0] == 3


def test_objects_are_not_pickled():
    with pytest.raises(ValueError, match="allow_pickle"):
        generated("a", lambda: {"x": np.array([{}])})


def test_an_exception_while_arrays_are_made_leaves_nothing_in_the_cache(cache):
    def fails():
        raise OSError("of its own")

    with pytest.raises(OSError, match="of its own") as caught:
        generated("a", fails)
    assert not isinstance(caught.value, DataError)
    assert folders(cache) == []
    assert generated("a", lambda: {"x": np.ones(1)})["x"][0] == 1


def test_a_source_that_changes_or_moves_is_converted_anew(tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    first.write_bytes(b"abc")
    second.write_bytes(b"abc")
    times = (10**18, 10**18)
    for path in (first, second):
        os.utime(path, ns=times)
    conversions = []

    def make():
        conversions.append(1)
        return {"x": np.ones(1)}

    def expect(count, path=first):
        from_files("a", [path], make)
        assert len(conversions) == count

    expect(1)
    expect(1)
    expect(2, second)
    first.write_bytes(b"abcd")
    os.utime(first, ns=times)
    expect(3)
    os.utime(first, ns=(10**18, 10**18 + 1))
    expect(4)
    (tmp_path / "link").symlink_to(first)
    expect(4, tmp_path / "link")


def test_only_the_newest_four_prepared_folders_of_each_group_are_kept(cache, tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(b"")
    from_files("other", [source], lambda: {"x": np.zeros(1)})
    first = generated("0", lambda: {"x": np.full(1000, 7)})["x"]
    oldest = folders(cache)
    for number in range(1, 10):
        generated(str(number), lambda number=number: {"x": np.full(3, number)})
        for age, path in enumerate(sorted(folders(cache), key=lambda p: p.stat().st_mtime_ns)):
            os.utime(path, ns=(0, 10**18 + age))
    assert len(folders(cache)) == 4
    assert not oldest[0].exists()
    assert first.sum() == 7000  # mapped: deleted, but still there for those who have it
    assert len(folders(cache, "other")) == 1
    assert len(prepared._opened) <= 5
    forget(monkeypatch)
    for number in range(6, 10):
        assert generated(str(number), never)["x"].tolist() == [number] * 3


@pytest.mark.parametrize("what", ["deleted", "cut", "emptied", "names"])
def test_a_prepared_folder_that_was_tampered_with_is_made_anew(cache, monkeypatch, what):
    generated("a", lambda: {"x": np.arange(1000), "y": np.ones(2)})
    (folder,) = folders(cache)
    if what == "names":
        (folder / "names.json").unlink()
    elif what == "deleted":
        (folder / "x.npy").unlink()
    else:
        os.truncate(folder / "x.npy", 500 if what == "cut" else 0)
    forget(monkeypatch)
    assert generated("a", lambda: {"x": np.arange(1000)})["x"].sum() == 499500
    assert folders(cache) == [folder]


# The worker prints what it does and waits for a line of input after each step.
WORKER = """
import os, sys
import numpy as np
from filelock import FileLock
from trainables.data import generated

def step(text):
    print(text, flush=True)
    sys.stdin.readline()

acquire = FileLock.acquire
def acquire_and_say(*arguments, **options):
    print("locking", flush=True)
    return acquire(*arguments, **options)
FileLock.acquire = acquire_and_say

def make():
    step("making")
    return {"x": np.arange(10.0), "y": np.arange(5)}

step("ready")
arrays = generated("a", make)
print(arrays["x"].sum(), arrays["y"].sum(), flush=True)
"""


def start_python(code):
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def let_continue(process):
    process.stdin.write("\n")
    process.stdin.flush()


def next_line(process):
    return process.stdout.readline().strip()


def test_two_processes_at_once_make_the_arrays_once():
    first, second = start_python(WORKER), start_python(WORKER)
    try:
        assert next_line(first) == next_line(second) == "ready"
        let_continue(first)
        assert next_line(first) == "locking"
        assert next_line(first) == "making"
        let_continue(second)
        assert next_line(second) == "locking"  # and waits; otherwise it would be making next
        let_continue(first)
        assert next_line(first) == "45.0 10"
        assert next_line(second) == "45.0 10"
        assert first.wait(timeout=30) == second.wait(timeout=30) == 0
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


# The second array is half written when the process is killed.
KILLED = """
import os, signal
import numpy as np
from trainables.data import generated

save, saved = np.save, []
def save_and_die(file, array, **options):
    if saved:
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    saved.append(1)
    save(file, array, **options)
np.save = save_and_die
generated("a", lambda: {"x": np.arange(10.0), "y": np.arange(5)})
"""


def test_a_killed_process_leaves_nothing_that_is_taken_for_complete(cache):
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", KILLED], timeout=60)
        assert killed.returncode == -signal.SIGKILL
        names = sorted(path.name for path in (cache / "prepared").iterdir())
        assert names == ["generated.lock", "generated.unfinished"]
    again = start_python(WORKER)
    output, _ = again.communicate("\n\n", timeout=60)
    assert output.split() == ["ready", "locking", "making", "45.0", "10"]
    assert not (cache / "prepared" / "generated.unfinished").exists()
    assert len(folders(cache)) == 1


def test_a_disk_without_room_is_reported_and_left_as_it_was(cache, monkeypatch):
    def half(file, array, **_):
        file.write(array.tobytes()[:100])
        # NumPy raises it like this, without an error number.
        raise OSError("1000 requested and 100 written")

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(DataError) as caught:
        generated("a", lambda: {"x": np.zeros(1000)})
    assert str(caught.value) == (
        f"{cache / 'prepared'} cannot be written (no room left): "
        "set SOUNDINGS_CACHE to a folder that can, with room for the data"
    )
    assert [path.name for path in (cache / "prepared").iterdir()] == ["generated.lock"]


def test_prepared_arrays_are_read_where_nothing_can_be_written(cache, monkeypatch):
    generated("a", lambda: {"x": np.ones(3)})
    forget(monkeypatch)

    def refused(*_):
        raise DataError("asked to write")

    monkeypatch.setattr(prepared, "locked", refused)
    assert generated("a", never)["x"].tolist() == [1, 1, 1]
    with pytest.raises(DataError, match="asked to write"):
        generated("b", never)
