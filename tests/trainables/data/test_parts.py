"""Tests that a user's file with a part of a data set is used, and that a warning says so."""

import logging

import numpy as np
import pytest

from tests.support.data_sources import idx_images, idx_labels, write, write_mnist
from trainables.data import DataError, mnist, shakespeare
from trainables.data.files import warn_of_a_part


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_small_files_of_pictures_are_warned_of_once(data, caplog):
    warn_of_a_part.cache_clear()
    write_mnist(data / "mnist", training=3, evaluation=2)
    for _ in range(2):
        mnist()
    folder = data / "mnist"
    assert warnings(caplog) == [
        f"{folder / 'train-images-idx3-ubyte'} holds 3 pictures, but the data set has 60,000: "
        "figures will not compare with published ones",
        f"{folder / 't10k-images-idx3-ubyte'} holds 2 pictures, but the data set has 10,000: "
        "figures will not compare with published ones",
    ]


def test_a_text_that_was_cut_is_warned_of(data, caplog):
    warn_of_a_part.cache_clear()
    (data / "tinyshakespeare").mkdir()
    (data / "tinyshakespeare/input.txt").write_text("To be, or not to be")
    assert len(shakespeare()) == 19
    (warning,) = warnings(caplog)
    assert "holds 19 characters, but the data set has 1,115,394" in warning


def test_pictures_of_one_shade_are_refused(data):
    folder = data / "mnist"
    folder.mkdir()
    blank = np.full((3, 28, 28), 7, dtype=np.uint8)
    for name in ("train", "t10k"):
        write(folder / f"{name}-images-idx3-ubyte", idx_images(blank))
        write(folder / f"{name}-labels-idx1-ubyte", idx_labels(np.zeros(3, dtype=np.uint8)))
    with pytest.raises(DataError, match="all of one shade"):
        mnist()


@pytest.mark.parametrize("name", ["SOUNDINGS_DATA", "SOUNDINGS_CACHE"])
def test_the_home_folder_of_an_unknown_user_is_refused_in_one_sentence(name, monkeypatch):
    monkeypatch.setenv(name, "~nobody-is-called-so/data")
    with pytest.raises(DataError, match="there is no folder '~nobody-is-called-so/data'"):
        shakespeare()
