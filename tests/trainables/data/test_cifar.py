"""Tests how CIFAR-10 batches are read, with pickles written by hand as Python 2 wrote them."""

import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest

from tests.support.data_sources import BATCHES, Python2, batch, write_cifar
from trainables.data import DataError, cifar


@pytest.fixture
def folder(tmp_path):
    """Return a folder of six valid batches."""
    write_cifar(tmp_path / "cifar-10-batches-py")
    return tmp_path / "cifar-10-batches-py"


def archive(folder, members=BATCHES):
    path = folder.parent / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, folder.name, recursive=False)
        for name in members:
            tar.add(folder / name, f"{folder.name}/{name}")
    return path


@pytest.mark.parametrize(
    ("red", "green", "blue", "expected"),
    [
        (255, 0, 0, 76),  # 76.2195
        (0, 255, 0, 150),  # 149.685
        (0, 0, 255, 29),  # 29.07
        (255, 255, 255, 255),  # 254.9745
        (0, 0, 250, 29),  # 28.5
        (10, 200, 33, 124),  # 124.151
        (5, 85, 115, 64),  # 64.4995
        (0, 0, 0, 0),
    ],
)
def test_grey_is_the_weighted_sum_of_the_colours(red, green, blue, expected):
    colours = np.repeat(np.array([[red, green, blue]], np.uint8), 1024, axis=1)
    assert set(cifar.grey(colours).ravel().tolist()) == {expected}


def test_planes_of_colour_lie_one_after_the_other_in_scan_order(folder):
    generator = np.random.default_rng(0)
    planes = generator.integers(0, 256, (1002, 3, 32, 32))
    (folder / "test_batch").write_bytes(batch(planes.reshape(1002, 3072), [4] * 1002))
    images, labels = cifar.batches(folder)["test_batch"]
    for number, row, column in [(0, 0, 0), (0, 3, 17), (1000, 31, 31), (1001, 12, 5)]:
        red, green, blue = planes[number, :, row, column].tolist()
        expected = round(0.2989 * red + 0.5870 * green + 0.1140 * blue)
        assert images[number, 32 * row + column] == expected
    assert labels.tolist() == [4] * 1002


def test_a_pickle_of_python_2_is_read(folder):
    colours = bytes(range(256)) * 24  # two pictures, their three planes alike
    (folder / "data_batch_1").write_bytes(Python2.batch(colours, 2, [7, 0]))
    images, labels = cifar.batches(folder)["data_batch_1"]
    assert images.tolist() == [list(range(256)) * 4] * 2
    assert labels.tolist() == [7, 0]


def test_an_array_stored_by_columns_is_read_by_rows(folder):
    colours = np.repeat(np.array([[10], [20], [30]], np.uint8), 3072, axis=1)
    (folder / "data_batch_2").write_bytes(batch(np.asfortranarray(colours), [1, 2, 3]))
    assert cifar.batches(folder)["data_batch_2"][0][:, 99].tolist() == [10, 20, 30]


def test_an_archive_gives_the_batches_of_the_folder_whatever_its_order(folder):
    from_folder = cifar.batches(folder)
    from_archive = cifar.batches(archive(folder, members=BATCHES[::-1]))
    assert set(from_archive) == set(BATCHES)
    for name in BATCHES:
        for part, other in zip(from_folder[name], from_archive[name], strict=True):
            np.testing.assert_array_equal(part, other)


class Touches:
    """Makes a file when it is unpickled without restrictions."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(folder, tmp_path, protocol):
    harm = tmp_path / "made"
    harmful = pickle.dumps({b"data": Touches(harm), b"labels": []}, protocol=protocol)
    pickle.loads(harmful).get(b"data").close()
    assert harm.exists(), "the pickle does no harm: the test shows nothing"
    harm.unlink()
    (folder / "data_batch_4").write_bytes(harmful)
    for path in (folder, archive(folder)):
        with pytest.raises(DataError, match=r"data_batch_4 would run (_?io)\.open when read"):
            cifar.batches(path)
    assert not harm.exists()


@pytest.mark.parametrize(
    "call",
    [
        b"cnumpy\nndarray\n(K\x08\x85cnumpy\ndtype\n(U\x01OtRU\x08AAAAAAAAtR.",
        b"cnumpy\nload\n.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"cbuiltins\ngetattr\n.",
        b"ctrainables.data.cifar\n_Saved\n.",
        b"c_codecs\nlookup\n.",
    ],
)
def test_a_pickle_can_call_no_other_function_and_make_no_array_of_addresses(folder, call):
    (folder / "data_batch_1").write_bytes(b"\x80\x02" + call)
    with pytest.raises(DataError, match=r"data_batch_1 (would run|is no CIFAR-10 batch)"):
        cifar.batches(folder)


def test_a_truncated_pickle_is_refused_wherever_it_ends(folder):
    content = Python2.batch(bytes(3072), 1, [0])
    for length in [*range(0, 60), *range(60, len(content), 211), len(content) - 1]:
        (folder / "data_batch_1").write_bytes(content[:length])
        with pytest.raises(DataError, match="data_batch_1 is damaged: it is no whole pickle"):
            cifar.batches(folder)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pickle.dumps([1, 2]), "is no CIFAR-10 batch"),
        (pickle.dumps({b"data": 3, b"labels": [1]}), "is no CIFAR-10 batch"),
        (pickle.dumps({b"labels": [1]}), "is no CIFAR-10 batch"),
        (batch(np.zeros((1, 3000)), [1]), "is no CIFAR-10 batch"),
        (Python2.batch(b"", 0, []), "is no CIFAR-10 batch"),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.int8), b"labels": [1]}, 2),
            "is no CIFAR-10 batch",
        ),
        (batch(np.zeros((2, 3072)), [1]), "has 2 pictures, but 1 labels"),
        (batch(np.zeros((2, 3072)), None), "has 2 pictures, but no labels"),
        (batch(np.zeros((2, 3072)), [1, 10]), "has the label 10 at position 1, not one of 0 to 9"),
        (batch(np.zeros((2, 3072)), [-1, 1]), "has the label -1 at position 0"),
        (batch(np.zeros((1, 3072)), ["cat"]), "has the label 'cat' at position 0"),
    ],
)
def test_a_pickle_of_something_else_is_refused(folder, content, sentence):
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        cifar.batches(folder)
    assert str(caught.value).startswith(f"{folder / 'test_batch'} ")


def test_a_missing_batch_is_named(folder):
    with pytest.raises(DataError, match=r"tar\.gz lacks cifar-10-batches-py/data_batch_5:"):
        cifar.batches(archive(folder, members=[n for n in BATCHES if n != "data_batch_5"]))
    (folder / "data_batch_5").unlink()
    with pytest.raises(DataError, match=r"cifar-10-batches-py lacks data_batch_5: "):
        cifar.batches(folder)


def test_a_file_that_is_a_truncated_archive_or_none_is_refused(folder):
    path = archive(folder)
    content = path.read_bytes()
    for length in (0, 5, len(content) // 3, len(content) // 2, len(content) - 20):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz"):
            cifar.batches(path)
    with gzip.open(path, "wb") as stream:
        member = tarfile.TarInfo(f"{folder.name}/data_batch_1")
        member.size = 2**70
        stream.write(member.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz"):
        cifar.batches(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"tar\.gz cannot be read"):
        cifar.batches(path)


def test_members_of_an_archive_outside_of_the_right_folder_are_ignored(folder):
    path = folder.parent / "other.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in BATCHES:
            member = tarfile.TarInfo(f"elsewhere/{name}")
            tar.addfile(member, io.BytesIO())
        link = tarfile.TarInfo(f"{folder.name}/data_batch_1")
        link.type, link.linkname = tarfile.DIRTYPE, ""
        tar.addfile(link)
    with pytest.raises(DataError, match="lacks cifar-10-batches-py/data_batch_1"):
        cifar.batches(path)
