"""Tests MNIST and grey CIFAR-10 as sets of pictures."""

import numpy as np
import pytest

from tests.support.data_sources import idx_images, idx_labels, pictures, write_cifar, write_mnist
from trainables.data import DataError, cifar10_grey, mnist


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_what_the_four_files_hold(data, zipped):
    write_mnist(data / "mnist", training=3, evaluation=2, zipped=zipped)
    images = mnist()
    np.testing.assert_array_equal(images.training_images, pictures(3).reshape(3, 784))
    np.testing.assert_array_equal(images.evaluation_images, pictures(2).reshape(2, 784))
    assert images.training_labels.tolist() == [1, 2, 3]
    assert images.evaluation_labels.tolist() == [1, 2]
    assert {array.dtype for array in images[:4]} == {np.dtype(np.uint8)}


def test_mean_and_deviation_are_those_of_the_training_pixels(data):
    write_mnist(data / "mnist", training=1001)
    pixels = pictures(1001) / 255
    assert mnist().mean == pytest.approx(pixels.mean(), rel=1e-12)
    assert mnist().deviation == pytest.approx(pixels.std(), rel=1e-12)


def test_arrays_are_memory_mapped_read_only_and_the_same_again(data):
    write_mnist(data / "mnist")
    first, second = mnist(), mnist()
    for array, again in zip(first[:4], second[:4], strict=True):
        assert isinstance(array, np.memmap)
        assert array is again
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_changed_file_is_converted_anew(data):
    write_mnist(data / "mnist", training=3)
    old = mnist()
    write_mnist(data / "mnist", training=4)
    assert mnist().training_labels.tolist() == [1, 2, 3, 4]
    assert old.training_labels.tolist() == [1, 2, 3]


def test_numbers_of_pictures_and_labels_that_differ_are_refused(data):
    write_mnist(data / "mnist")
    labels = data / "mnist" / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx_labels([1, 2, 3]))
    with pytest.raises(DataError) as caught:
        mnist()
    pictured = data / "mnist" / "t10k-images-idx3-ubyte"
    assert str(caught.value) == (
        f"{pictured} holds 2 pictures, but {labels} 3 labels: they do not belong together, "
        "so replace both"
    )


def test_a_file_that_was_refused_is_read_again_once_it_is_complete(data, cache):
    write_mnist(data / "mnist")
    damaged = data / "mnist" / "train-images-idx3-ubyte"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1])
    with pytest.raises(DataError, match="cut short"):
        mnist()
    assert [path.suffix for path in (cache / "prepared").iterdir()] == [".lock"]
    damaged.write_bytes(idx_images(pictures(3)))
    assert len(mnist().training_images) == 3


def test_grey_cifar_joins_the_five_training_batches_in_order(data):
    write_cifar(data / "cifar10" / "cifar-10-batches-py", rows=2)
    images = cifar10_grey()
    assert images.training_images.shape == (10, 1024)
    assert images.training_images[:, 1000].tolist() == [
        40,
        40,
        80,
        80,
        120,
        120,
        160,
        160,
        200,
        200,
    ]
    assert images.training_labels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert np.unique(images.evaluation_images).tolist() == [240]
    assert images.evaluation_labels.tolist() == [6, 6]
    assert images.mean == pytest.approx(120 / 255)
    assert images.deviation == pytest.approx(40 * 2**0.5 / 255)


def test_a_change_of_one_cifar_batch_is_noticed(data):
    folder = data / "cifar10" / "cifar-10-batches-py"
    write_cifar(folder)
    cifar10_grey()
    (folder / "data_batch_3").write_bytes(b"")
    with pytest.raises(DataError, match="data_batch_3 is damaged"):
        cifar10_grey()
