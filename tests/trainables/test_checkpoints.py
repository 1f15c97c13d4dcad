"""Files of checkpoints: whole or set aside, the two newest kept, nothing in them executed."""

import errno
import hashlib
import io
import os
import random
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables import checkpoints
from trainables.checkpoints import discard_after, load, steps, write

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


def same(one, other):
    """Bit for bit."""
    if isinstance(one, torch.Tensor):
        mine, others = (x.reshape(-1).view(torch.uint8) for x in (one, other))
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(mine, others)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return repr(one) == repr(other)


def read(folder, identity="me"):
    """What is used of a folder, and what is said of it."""
    used = []
    found, warnings = load(folder, identity, used.append)
    assert found == bool(used)
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
def test_what_is_written_comes_back_bit_for_bit(tmp_path_factory, plain, numbers, dtype, step):
    folder = tmp_path_factory.mktemp("c") / "of a trial"
    whole = {"plain": plain, "numbers": torch.tensor(numbers).nan_to_num(1.5, 2.5, 3.5).to(dtype)}
    whole |= {"odd": torch.tensor(ODD), "none": torch.empty(0, 3), "one": torch.tensor(7.0)}
    write(folder, step, "me", whole)
    found, warnings = read(folder)
    assert same(found, whole) and warnings == []
    assert steps(folder) == [step]
    assert len(names(folder)) == 1


def test_the_two_newest_are_kept_and_the_newest_is_used(tmp_path):
    order = [4, 8, 100, 99, 12_000_000_000]
    for count, step in enumerate(order, 1):
        write(tmp_path, step, "me", state(step))
        assert steps(tmp_path) == sorted(order[:count], reverse=True)[:2]
        found, _ = read(tmp_path)
        assert found["step"] == max(order[:count])
    assert len(names(tmp_path)) == 2


def test_a_folder_without_any_is_no_trouble(tmp_path):
    (tmp_path / "step-5.pt").write_text("not a name of ours")
    (tmp_path / "step-000000000005.pt.aside").write_text("nor is this")
    for folder in (tmp_path / "none", tmp_path):
        assert steps(folder) == []
        assert read(folder) == (None, [])


def damaged(whole, how, chance):
    if how == "empty":
        return b""
    if how == "truncated":
        return whole[: chance.randrange(len(whole))]
    if how == "garbage":
        return chance.randbytes(500)
    if how == "a hole":
        at = chance.randrange(len(whole) - 64)
        return whole[:at] + bytes(64) + whole[at + 64 :]
    if how == "longer":
        return whole + b"\0"
    place = chance.randrange(len(whole))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << chance.randrange(8)
    return bytes(flipped)


@pytest.mark.parametrize("how", ["empty", "truncated", "garbage", "a hole", "longer", "a bit"])
def test_a_damaged_one_is_set_aside_with_a_sentence_and_the_one_before_is_used(tmp_path, how):
    chance = random.Random(how)
    for attempt in range(200 if how == "a bit" else 10):
        folder = tmp_path / f"{attempt}"
        for step in (4, 8):
            write(folder, step, "me", state(step))
        newest = folder / "step-000000000008.pt"
        broken = damaged(newest.read_bytes(), how, chance)
        newest.write_bytes(broken)
        found, warnings = read(folder)
        assert same(found, state(4))
        aside = folder / "_damaged-step-000000000008.pt.aside"
        assert warnings == [
            f"{newest}: not a checkpoint that can be used (damaged); set aside as {aside.name}"
        ]
        assert aside.read_bytes() == broken  # nothing is thrown away
        assert names(folder) == [aside.name, "step-000000000004.pt"]
        assert read(folder)[1] == []  # said once


def test_where_all_are_damaged_none_is_used_and_each_is_told(tmp_path):
    for step in (4, 8):
        write(tmp_path, step, "me", state(step))
        (tmp_path / f"step-{step:012d}.pt").write_bytes(b"PK")
    found, warnings = read(tmp_path)
    assert found is None
    assert [w.split(":")[0].rpartition("/")[2] for w in warnings] == [
        "step-000000000008.pt",
        "step-000000000004.pt",
    ]


def test_one_of_another_trial_is_not_used(tmp_path):
    write(tmp_path, 4, "me", state(4))
    write(tmp_path, 8, "somebody else", state(8))
    found, (warning,) = read(tmp_path)
    assert found["step"] == 4
    assert "it is of another trial, or of another definition of this one" in warning


def test_one_that_does_not_fit_is_set_aside_by_what_it_raises(tmp_path):
    for step in (4, 8):
        write(tmp_path, step, "me", state(step))
    taken = []

    def use(found):
        if found["step"] == 8:
            raise RuntimeError("size mismatch for readout\nand much more")
        taken.append(found["step"])

    used, (warning,) = load(tmp_path, "me", use)
    assert used and taken == [4]
    assert "(size mismatch for readout); set aside as" in warning and "\n" not in warning


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def sealed(content):
    """A file's content under the seal of a whole checkpoint."""
    return hashlib.sha256(content).digest() + content


@pytest.mark.parametrize("where", ["identity", "state", "instead"])
def test_code_in_a_file_is_never_executed(tmp_path, where):
    bomb = Bomb(tmp_path / "boom")
    whole = {"identity": "me", "state": state(8)} | {where: bomb}
    content = io.BytesIO()
    torch.save(bomb if where == "instead" else whole, content)
    write(tmp_path, 4, "me", state(4))
    (tmp_path / "step-000000000008.pt").write_bytes(sealed(content.getvalue()))
    found, (warning,) = read(tmp_path)
    assert same(found, state(4))
    assert "step-000000000008.pt: not a checkpoint that can be used (damaged)" in warning
    assert not bomb.path.exists()


@pytest.mark.parametrize(
    "other", [None, 5, [], {}, {"identity": "me"}, {"identity": "me", "state": 7}]
)
def test_a_whole_file_of_something_else_is_set_aside(tmp_path, other):
    content = io.BytesIO()
    torch.save(other, content)
    (tmp_path / "step-000000000008.pt").write_bytes(sealed(content.getvalue()))
    found, (warning,) = read(tmp_path)
    assert found is None and "not a checkpoint that can be used" in warning


def no_space(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.rename"])
def test_a_write_that_fails_leaves_those_that_were_there_and_nothing_else(
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


def test_a_folder_that_cannot_be_made_is_an_error_of_the_machine(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        write(tmp_path / "file" / "of a trial", 4, "me", state(4))


@pytest.mark.parametrize(
    ("after", "left"), [(0, []), (3, []), (4, [4]), (7, [4]), (8, [8, 4]), (9, [8, 4])]
)
def test_later_ones_can_be_discarded(tmp_path, after, left):
    for step in (4, 8):
        write(tmp_path, step, "me", state(step))
    discard_after(tmp_path, after)
    assert steps(tmp_path) == left
    discard_after(tmp_path / "none", after)


def test_the_file_is_a_seal_and_what_torch_writes(tmp_path):
    """No more than the state takes: about a kilobyte a tensor of overhead is torch's own."""
    write(tmp_path, 8, "me", {"weights": torch.zeros(10_000)})
    content = (tmp_path / "step-000000000008.pt").read_bytes()
    assert zipfile.is_zipfile(io.BytesIO(content[32:]))
    assert 40_000 < len(content) < 42_000
    assert checkpoints.KEPT == 2


def test_what_killed_writers_left_behind_goes_with_the_next_checkpoint(tmp_path):
    for number in (1, 2, 3):
        (tmp_path / f".step-00000000000{number}.pt.{number}.tmp").write_bytes(b"half of one")
    write(tmp_path, 4, "me", state(4))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000004.pt"]


def test_trouble_of_the_machine_sets_no_checkpoint_aside(tmp_path):
    write(tmp_path, 1, "me", state(1))

    def use(found):
        raise MemoryError

    with pytest.raises(MemoryError):
        load(tmp_path, "me", use)
    assert steps(tmp_path) == [1]
