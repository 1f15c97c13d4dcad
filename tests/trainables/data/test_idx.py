"""Tests how IDX files are read, with bytes written by hand."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.data_sources import idx_images, idx_labels, pictures, write
from trainables.data import DataError, idx


@pytest.mark.parametrize("zipped", [False, True])
def test_pictures_are_rows_of_pixels_in_scan_order(tmp_path, zipped):
    shown = pictures(2)
    images = idx.images(write(tmp_path / "images", idx_images(shown), zipped))
    assert images.dtype == np.uint8
    assert images.tolist() == [shown[0].ravel().tolist(), shown[1].ravel().tolist()]


@pytest.mark.parametrize("zipped", [False, True])
def test_labels_are_their_bytes(tmp_path, zipped):
    labels = idx.labels(write(tmp_path / "labels", idx_labels([5, 0, 9]), zipped))
    assert labels.dtype == np.uint8
    assert labels.tolist() == [5, 0, 9]


IMAGES, LABELS = idx_images(pictures(2)), idx_labels([1, 2, 3])


@pytest.mark.parametrize(
    ("read", "content", "sentence"),
    [
        (idx.images, b"", "is cut short"),
        (idx.images, IMAGES[:10], "is cut short"),
        (idx.images, IMAGES[:-1], "is cut short"),
        (idx.labels, LABELS[:-1], "is cut short"),
        (idx.images, IMAGES + b"\0", "goes on after its last value"),
        (idx.images, idx_images(pictures(0)), "holds no images"),
        (idx.labels, idx_labels([]), "holds no labels"),
        (idx.images, idx_images(pictures(1, side=20)), "pictures of 20 x 20 pixels, not 28 x 28"),
        (idx.images, LABELS, "holds labels where images belong"),
        (idx.labels, IMAGES, "holds images where labels belong"),
        (idx.images, idx_images(pictures(1), magic=77), r"magic number is 77, not 2051\)"),
        (idx.labels, idx_labels([3, 9, 17, 12]), "the label 17 at position 2, but 9 is the last"),
        (idx.labels, idx_labels([10]), "the label 10 at position 0"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_each_fault_of_an_idx_file_is_reported(tmp_path, read, content, sentence, zipped):
    path = write(tmp_path / "a file", content, zipped)
    with pytest.raises(DataError, match=sentence) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} ")
    assert str(caught.value).endswith(": replace it, or delete it to have it downloaded")
    assert str(caught.value).count("replace it") == 1


def test_a_header_that_promises_terabytes_takes_no_memory(tmp_path):
    path = write(tmp_path / "images", struct.pack(">4I", 2051, 2**32 - 1, 2**16, 2**16) + b"abc")
    with pytest.raises(DataError, match="is cut short"):
        idx.images(path)


def test_a_gzip_file_with_a_wrong_byte_is_refused_wherever_it_is(tmp_path):
    compressed = gzip.compress(IMAGES)
    # Bytes 3 to 9 hold the time and other facts that are not checked.
    for position in (
        0,
        1,
        2,
        *range(10, len(compressed)),
    ):
        content = bytearray(compressed)
        content[position] ^= 0x55
        (tmp_path / "images.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"images\.gz"):
            idx.images(tmp_path / "images.gz")


def test_a_truncated_gzip_file_is_refused(tmp_path):
    content = gzip.compress(IMAGES)
    for length in (3, len(content) // 2, len(content) - 5):
        (tmp_path / "images.gz").write_bytes(content[:length])
        with pytest.raises(DataError, match="is cut short"):
            idx.images(tmp_path / "images.gz")


def test_a_file_that_is_no_gzip_or_a_folder_is_refused(tmp_path):
    (tmp_path / "images.gz").write_bytes(IMAGES)
    with pytest.raises(DataError, match=r"images\.gz cannot be read \(Not a gzipped file"):
        idx.images(tmp_path / "images.gz")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        idx.images(tmp_path)


@given(
    head=st.tuples(
        st.sampled_from([2049, 2051, 0, 2**32 - 1]),
        st.integers(0, 3) | st.integers(0, 2**32 - 1),
    ),
    tail=st.binary(max_size=40),
    zipped=st.booleans(),
)
@example(head=(2049, 3), tail=b"\x01\x02\x03", zipped=True)
@example(head=(2051, 1), tail=struct.pack(">2I", 28, 28) + bytes(784), zipped=False)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_reading_any_bytes_gives_the_right_array_or_a_data_error(tmp_path, head, tail, zipped):
    content = struct.pack(">2I", *head) + tail
    path = write(tmp_path / "any", content, zipped)
    right_labels = head == (2049, len(tail)) and tail and max(tail) <= 9
    right_images = (
        head[0] == 2051
        and tail[:8] == struct.pack(">2I", 28, 28)
        and len(tail) == 8 + head[1] * 784 > 8
    )
    for read, right, values in (
        (idx.labels, right_labels, tail),
        (idx.images, right_images, tail[8:]),
    ):
        if right:
            assert read(path).tobytes() == values
        else:
            with pytest.raises(DataError):
                read(path)


@given(content=st.binary(max_size=60), suffix=st.sampled_from(["", ".gz"]))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_reading_noise_raises_a_data_error_and_no_other_exception(tmp_path, content, suffix):
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(b"\x1f\x8b\x08" + content if suffix else content)
    with pytest.raises(DataError):
        idx.images(path)
