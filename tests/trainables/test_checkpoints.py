"""Tests checkpoint files: damaged ones are set aside, two are kept, and code in them never runs."""

import errno
import hashlib
import io
import os
import random
import subprocess
import sys
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import ROOT
from tests.support.trials import checkpoint_steps as steps
from trainables import checkpoints
from trainables.checkpoints import discard_after, load, write

ODD = [0.0, -0.0, 1e-45, float("inf"), float("-inf"), float("nan"), 1 / 3]
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def state(step):
    return {"step": step, "weights": torch.tensor(ODD) + step, "lanes": {"loss": [0.5, None]}}


def same(first, second):
    """Return whether two values are equal, tensors bit for bit."""
    if isinstance(first, torch.Tensor):
        first_bytes, second_bytes = (x.reshape(-1).view(torch.uint8) for x in (first, second))
        return (
            first.dtype == second.dtype
            and first.shape == second.shape
            and torch.equal(first_bytes, second_bytes)
        )
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return repr(first) == repr(second)


def read(folder, identity="me"):
    """Return the state that is used of a folder, None without one, and the warnings."""
    used = []
    is_used, warnings = load(folder, identity, used.append)
    assert is_used == bool(used)
    return (used[0] if used else None), warnings


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@settings(max_examples=50, deadline=None)
@given(
    plain=st.dictionaries(st.text(max_size=4), TREES, max_size=4),
    numbers=st.lists(st.floats(width=32), max_size=9),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]),
    step=st.integers(0, 10**12 - 1),
)
def test_a_written_checkpoint_is_loaded_bit_for_bit(tmp_path_factory, plain, numbers, dtype, step):
    folder = tmp_path_factory.mktemp("c") / "of a trial"
    written = {"plain": plain, "numbers": torch.tensor(numbers).nan_to_num(1.5, 2.5, 3.5).to(dtype)}
    written |= {"odd": torch.tensor(ODD), "none": torch.empty(0, 3), "one": torch.tensor(7.0)}
    write(folder, step, "me", written)
    loaded, warnings = read(folder)
    assert same(loaded, written) and warnings == []
    assert steps(folder) == [step]
    assert len(names(folder)) == 1


def test_the_two_newest_checkpoints_are_kept_and_the_newest_is_used(tmp_path):
    order = [4, 8, 100, 99, 12_000_000_000]
    for count, step in enumerate(order, 1):
        write(tmp_path, step, "me", state(step))
        assert steps(tmp_path) == sorted(order[:count], reverse=True)[:2]
        loaded, _ = read(tmp_path)
        assert loaded["step"] == max(order[:count])
    assert len(names(tmp_path)) == 2


def test_a_folder_without_checkpoints_loads_nothing_and_gives_no_warning(tmp_path):
    (tmp_path / "step-5.pt").write_text("not a name of ours")
    (tmp_path / "step-000000000005-run-000000.pt.aside").write_text("nor is this")
    for folder in (tmp_path / "none", tmp_path):
        assert steps(folder) == []
        assert read(folder) == (None, [])


def damaged(content, damage, rng):
    if damage == "empty":
        return b""
    if damage == "truncated":
        return content[: rng.randrange(len(content))]
    if damage == "garbage":
        return rng.randbytes(500)
    if damage == "a hole":
        start = rng.randrange(len(content) - 64)
        return content[:start] + bytes(64) + content[start + 64 :]
    if damage == "longer":
        return content + b"\0"
    position = rng.randrange(len(content))
    flipped = bytearray(content)
    flipped[position] ^= 1 << rng.randrange(8)
    return bytes(flipped)


@pytest.mark.parametrize("damage", ["empty", "truncated", "garbage", "a hole", "longer", "a bit"])
def test_a_damaged_checkpoint_is_set_aside_with_a_warning_and_the_previous_one_is_used(
    tmp_path, damage
):
    rng = random.Random(damage)
    for attempt in range(200 if damage == "a bit" else 10):
        folder = tmp_path / f"{attempt}"
        for step in (4, 8):
            write(folder, step, "me", state(step))
        newest = folder / "step-000000000008-run-000000.pt"
        damaged_bytes = damaged(newest.read_bytes(), damage, rng)
        newest.write_bytes(damaged_bytes)
        loaded, warnings = read(folder)
        assert same(loaded, state(4))
        aside = folder / "_damaged-step-000000000008-run-000000.pt.aside"
        assert warnings == [
            f"{newest}: not a checkpoint that can be used (damaged); set aside as {aside.name}"
        ]
        assert aside.read_bytes() == damaged_bytes  # its bytes are kept
        assert names(folder) == [aside.name, "step-000000000004-run-000000.pt"]
        assert read(folder)[1] == []  # it warns only once


def test_no_checkpoint_is_used_and_each_is_warned_of_when_all_are_damaged(tmp_path):
    for step in (4, 8):
        write(tmp_path, step, "me", state(step))
        (tmp_path / f"step-{step:012d}-run-000000.pt").write_bytes(b"PK")
    loaded, warnings = read(tmp_path)
    assert loaded is None
    assert [w.split(":")[0].rpartition("/")[2] for w in warnings] == [
        "step-000000000008-run-000000.pt",
        "step-000000000004-run-000000.pt",
    ]


def test_a_checkpoint_of_another_trial_is_not_used(tmp_path):
    write(tmp_path, 4, "me", state(4))
    write(tmp_path, 8, "somebody else", state(8))
    loaded, (warning,) = read(tmp_path)
    assert loaded["step"] == 4
    assert "it is of another trial, or of another definition of this one" in warning


def test_a_checkpoint_that_does_not_fit_is_set_aside_with_the_error_it_raises(tmp_path):
    for step in (4, 8):
        write(tmp_path, step, "me", state(step))
    used_steps = []

    def use(loaded):
        if loaded["step"] == 8:
            raise RuntimeError("size mismatch for readout\nand much more")
        used_steps.append(loaded["step"])

    used, (warning,) = load(tmp_path, "me", use)
    assert used and used_steps == [4]
    assert "(size mismatch for readout); set aside as" in warning and "\n" not in warning


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def sealed(content):
    """Return the content of a file preceded by the seal of a complete checkpoint."""
    return hashlib.sha256(content).digest() + content


@pytest.mark.parametrize("where", ["identity", "state", "instead"])
def test_code_in_a_checkpoint_file_is_never_executed(tmp_path, where):
    bomb = Bomb(tmp_path / "boom")
    checkpoint = {"identity": "me", "state": state(8)} | {where: bomb}
    content = io.BytesIO()
    torch.save(bomb if where == "instead" else checkpoint, content)
    write(tmp_path, 4, "me", state(4))
    (tmp_path / "step-000000000008-run-000000.pt").write_bytes(sealed(content.getvalue()))
    loaded, (warning,) = read(tmp_path)
    assert same(loaded, state(4))
    assert "step-000000000008-run-000000.pt: not a checkpoint that can be used (damaged)" in warning
    assert not bomb.path.exists()


@pytest.mark.parametrize(
    "other", [None, 5, [], {}, {"identity": "me"}, {"identity": "me", "state": 7}]
)
def test_a_file_with_a_valid_seal_but_other_content_is_set_aside(tmp_path, other):
    content = io.BytesIO()
    torch.save(other, content)
    (tmp_path / "step-000000000008-run-000000.pt").write_bytes(sealed(content.getvalue()))
    loaded, (warning,) = read(tmp_path)
    assert loaded is None and "not a checkpoint that can be used" in warning


def no_space(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.rename"])
def test_a_failed_write_leaves_the_existing_checkpoints_and_nothing_else(
    tmp_path, monkeypatch, broken
):
    for step in (4, 8):
        write(tmp_path, step, "me", state(step))
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with monkeypatch.context() as patch:
        patch.setattr(broken, no_space)
        with pytest.raises(OSError, match="No space left on device"):
            write(tmp_path, 12, "me", state(12))
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    write(tmp_path, 12, "me", state(12))
    assert steps(tmp_path) == [12, 8]


def test_writing_to_a_folder_that_cannot_be_made_raises_an_os_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        write(tmp_path / "file" / "of a trial", 4, "me", state(4))


@pytest.mark.parametrize(
    ("after", "left"), [(0, []), (3, []), (4, [4]), (7, [4]), (8, [8, 4]), (9, [8, 4])]
)
def test_checkpoints_after_a_step_can_be_discarded(tmp_path, after, left):
    for step in (4, 8):
        write(tmp_path, step, "me", state(step))
    discard_after(tmp_path, after)
    assert steps(tmp_path) == left
    discard_after(tmp_path / "none", after)


def test_a_checkpoint_file_is_a_seal_and_a_torch_archive(tmp_path):
    """The file is hardly larger than the state: torch adds about a kilobyte per tensor."""
    write(tmp_path, 8, "me", {"weights": torch.zeros(10_000)})
    content = (tmp_path / "step-000000000008-run-000000.pt").read_bytes()
    assert zipfile.is_zipfile(io.BytesIO(content[32:]))
    assert 40_000 < len(content) < 42_000
    assert checkpoints.KEPT == 2


def test_unfinished_files_of_killed_writers_are_deleted_by_the_next_write(tmp_path):
    for number in (1, 2, 3):
        (tmp_path / f".step-00000000000{number}.pt.{number}.tmp").write_bytes(b"half of one")
    write(tmp_path, 4, "me", state(4))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000004-run-000000.pt"]


def test_a_memory_error_during_loading_sets_no_checkpoint_aside(tmp_path):
    write(tmp_path, 1, "me", state(1))

    def use(loaded):
        raise MemoryError

    with pytest.raises(MemoryError):
        load(tmp_path, "me", use)
    assert steps(tmp_path) == [1]


# -- two runs ------------------------------------------------------------------------------------


def test_checkpoints_of_another_run_are_used_up_to_the_first_unrecorded_report_only(tmp_path):
    """A paused run may write a checkpoint behind reports that it has not recorded."""
    for step in (4, 8):
        write(tmp_path, step, "me", state(step), token=1)
    for limit, expected in [(7, 4), (8, 8), (3, None)]:
        used = []
        load(tmp_path, "me", used.append, token=2, others_until=limit)
        assert [each["step"] for each in used] == ([] if expected is None else [expected])
    assert steps(tmp_path) == [8, 4]  # those that are not used stay
    write(tmp_path, 6, "me", state(6), token=2)
    used = []
    load(tmp_path, "me", used.append, token=2, others_until=3)
    assert [each["step"] for each in used] == [6]  # its own is used wherever it is


def test_a_run_that_was_taken_over_removes_no_checkpoint_of_the_next(tmp_path):
    for step in (4, 6):
        write(tmp_path, step, "me", state(step), token=2)
    for step in (8, 12, 16):
        write(tmp_path, step, "me", state(step), token=1)
    assert names(tmp_path) == [f"step-{step:012d}-run-000002.pt" for step in (4, 6)]


def test_a_checkpoint_of_release_0_1_0_is_read(tmp_path):
    """Its name has no run."""
    write(tmp_path, 8, "me", state(8))
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / "step-000000000008.pt")
    used = []
    assert load(tmp_path, "me", used.append, token=3, others_until=11) == (True, [])
    assert same(used[0], state(8))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] can't allocate memory: 100 bytes"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_a_checkpoint_is_not_set_aside_for_want_of_memory(tmp_path, error):
    write(tmp_path, 8, "me", state(8))

    def use(_):
        raise error

    with pytest.raises(type(error)):
        load(tmp_path, "me", use)
    assert steps(tmp_path) == [8]


MEMORY = """
import resource, sys
from pathlib import Path
import torch
from trainables import checkpoints

folder = Path(sys.argv[1])
checkpoints.write(folder, 10, "me", {"weights": torch.rand(10_000_000)})
target = torch.zeros(10_000_000)
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for megabytes in range(10, 150, 20):
    resource.setrlimit(resource.RLIMIT_AS, (held + megabytes * 2**20, -1))
    try:
        checkpoints.load(folder, "me", lambda state: target.copy_(state["weights"]))
    except (MemoryError, RuntimeError, OSError):
        pass
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    assert [path.name[:17] for path in folder.iterdir()] == ["step-000000000010"], megabytes
"""


def test_a_checkpoint_stays_whatever_memory_a_real_process_has(tmp_path):
    subprocess.run([sys.executable, "-c", MEMORY, tmp_path], check=True, cwd=ROOT)
