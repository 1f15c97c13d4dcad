"""Reads the real files where SOUNDINGS_DATA names a folder of them."""

import shutil
from pathlib import Path

import pytest

from trainables.data import SHAKESPEARE_SYMBOLS, DataError, mnist, shakespeare, text8


def need(folder, pattern):
    paths = sorted(Path(folder).glob(pattern))
    if not paths:
        pytest.skip(f"there is no {pattern} in SOUNDINGS_DATA")
    return paths


def test_mnist_has_the_known_sizes_labels_and_statistics(real):
    need(real, "mnist/train-images-idx3-ubyte*")
    images = mnist()
    assert images.training_images.shape == (60_000, 784)
    assert images.evaluation_images.shape == (10_000, 784)
    assert images.training_labels.shape == (60_000,)
    assert images.evaluation_labels.shape == (10_000,)
    assert images.training_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert images.evaluation_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert images.mean == pytest.approx(0.1307, abs=5e-5)
    assert images.deviation == pytest.approx(0.3081, abs=5e-5)


def test_tiny_shakespeare_has_the_known_length_start_and_symbols(real):
    need(real, "tinyshakespeare/input.txt")
    codes = shakespeare()
    assert codes.shape == (1_115_394,)
    assert "".join(SHAKESPEARE_SYMBOLS[code] for code in codes[:14]) == "First Citizen:"
    assert sorted(set(codes.tolist())) == list(range(65))


def test_a_piece_of_text8_with_words_left_out_is_refused_as_text8(real, data):
    (data / "text8").mkdir()
    shutil.copyfile(need(real, "text8/*unk*.txt")[0], data / "text8" / "text8")
    with pytest.raises(
        DataError, match=r"it has \d+ symbols that do not belong, the first of them '<'"
    ):
        text8()
