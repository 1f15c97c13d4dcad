"""Compares image sequences with the bytes of the files."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch

from tests.support import task_files
from trainables.data import DataError
from trainables.registry import OptionError
from trainables.tasks import make

HELD_OUT = 20
every_image_task = pytest.mark.parametrize("name", ["smnist", "psmnist", "scifar10"])


def grey(colours):
    """Return the grey pictures of colour ones, which have a plane of 1,024 bytes per colour."""
    red, green, blue = colours.reshape(-1, 3, 1024).astype(np.float64).transpose(1, 0, 2)
    return np.floor(0.2989 * red + 0.5870 * green + 0.1140 * blue + 0.5)


def all_pictures(name):
    """Return pixels and labels of the training file and of the test file."""
    if name == "scifar10":
        training = [task_files.CIFAR[f"data_batch_{number}"] for number in range(1, 6)]
        images, labels = (np.concatenate(parts) for parts in zip(*training, strict=True))
        test_images, test_labels = task_files.CIFAR["test_batch"]
        return grey(images), labels, grey(test_images), test_labels
    (images, labels), (test_images, test_labels) = (
        task_files.MNIST["train"],
        task_files.MNIST["t10k"],
    )
    return images.astype(np.float64), labels, test_images.astype(np.float64), test_labels


def rows(name, split, held_out=HELD_OUT):
    """Return the pixels, standardised by hand, and the labels that a split must have."""
    images, labels, test_images, test_labels = all_pictures(name)
    mean, deviation = (images / 255).mean(), (images / 255).std()
    pixels, shown = {
        "training": (images[:-held_out], labels[:-held_out]),
        "validation": (images[-held_out:], labels[-held_out:]),
        "evaluation": (test_images[:held_out], test_labels[:held_out]),
    }[split]
    return (pixels / 255 - mean) / deviation, shown


def make_task(name, **options):
    return make(name, {"held_out_size": HELD_OUT, **options})


@pytest.mark.parametrize(
    ("name", "length"), [("smnist", 784), ("psmnist", 784), ("scifar10", 1024)]
)
def test_an_image_task_shows_a_pixel_per_step_and_is_answered_after_the_last(name, length):
    task = make(name)
    assert (task.inputs, task.outputs) == (1, 10)
    assert (task.length, task.first_output) == (length, length - 1)
    assert task.held_out_size == 10_000
    assert task.protocol.batch_size == 128


@pytest.mark.parametrize("split", ["validation", "evaluation"])
@pytest.mark.parametrize("name", ["smnist", "scifar10"])
def test_held_out_rows_are_the_last_of_the_training_file_and_the_first_of_the_test_file(
    name, split
):
    batch = make_task(name).held_out(split, seed=0)
    pixels, labels = rows(name, split)
    np.testing.assert_allclose(batch.inputs[0, :, :, 0].T, pixels, rtol=0, atol=1e-5)
    assert batch.targets[0].tolist() == labels[:, None].tolist()


@pytest.mark.parametrize("name", ["smnist", "scifar10"])
def test_training_draws_all_other_rows_of_the_training_file_and_only_these(name):
    batch = make_task(name).batch(seed=0, lanes=[0], step=0, size=1000)
    pixels, labels = rows(name, "training")
    drawn = batch.inputs[0, :, :, 0].T.double().numpy()
    distances = np.abs(drawn[:, None, :5] - pixels[None, :, :5]).max(-1)
    nearest = distances.argmin(1)
    assert set(nearest) == set(range(len(pixels)))
    np.testing.assert_allclose(drawn, pixels[nearest], rtol=0, atol=1e-5)
    assert batch.targets[0, :, 0].tolist() == labels[nearest].tolist()


def order(**options):
    """Return the position in the picture of each step's pixel."""
    batch = make_task("psmnist", **options).held_out("validation", seed=0)
    pixels, labels = rows("smnist", "validation")
    assert batch.targets[0, :, 0].tolist() == labels.tolist()
    shown = batch.inputs[0, :, :, 0].double().numpy()  # [time, pictures]
    distances = np.abs(shown[:, None] - pixels.T[None]).max(-1)
    assert distances.min(1).max() < 1e-5
    return distances.argmin(1)


def test_psmnist_is_smnist_in_one_order_for_all_pictures_and_splits():
    permutation = order()
    assert sorted(permutation) == list(range(784))
    assert (permutation != np.arange(784)).mean() > 0.9
    for split in ("training", "evaluation"):
        plain, permuted = (
            task.batch(seed=0, lanes=[0, 1], step=0, size=30)
            if split == "training"
            else task.held_out(split, seed=0)
            for task in (make_task("smnist"), make_task("psmnist"))
        )
        assert torch.equal(plain.inputs[:, permutation], permuted.inputs)
        assert torch.equal(plain.targets, permuted.targets)


def test_another_permutation_seed_gives_another_order():
    orders = [order(permutation=seed) for seed in (0, 0, 1, 2)]
    assert np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[0], order())
    for first, second in ((0, 2), (0, 3), (2, 3)):
        assert (orders[first] == orders[second]).mean() < 0.05


@every_image_task
def test_any_number_of_pictures_can_be_held_out_as_long_as_one_is_left(name):
    images, _, test_images, _ = all_pictures(name)
    most = min(len(images) - 1, len(test_images))
    for held_out in (1, most):
        task = make_task(name, held_out_size=held_out)
        for split in ("validation", "evaluation"):
            batch = task.held_out(split, seed=0)
            assert batch.targets[0, :, 0].tolist() == rows(name, split, held_out)[1].tolist()


@every_image_task
def test_holding_out_more_pictures_than_there_are_is_refused(name):
    images, _, test_images, _ = all_pictures(name)
    for held_out in (len(test_images) + 1, len(images), 10_000):
        with pytest.raises(DataError) as caught:
            make_task(name, held_out_size=held_out).prepare()
        assert str(caught.value) == (
            f"held_out_size is {held_out:,}, but there are only {len(images)} training and "
            f"{len(test_images)} test images"
        )


@pytest.mark.parametrize("name", ["smnist", "psmnist"])
def test_held_out_pictures_must_leave_one_to_train_on(name, tmp_path, monkeypatch):
    images, labels = task_files.MNIST["train"]
    (tmp_path / "mnist").mkdir()
    task_files.write_mnist(tmp_path, task_files.MNIST | {"train": (images[:20], labels[:20])})
    monkeypatch.setenv("SOUNDINGS_DATA", str(tmp_path))
    with pytest.raises(DataError, match="held_out_size is 20, but there are only 20 training and"):
        make_task(name, held_out_size=20).prepare()
    batch = make_task(name, held_out_size=19).batch(seed=0, lanes=[0], step=0, size=3)
    assert batch.targets[0, :, 0].tolist() == [labels[0]] * 3


@every_image_task
def test_the_baseline_is_a_chance_of_one_in_ten(name):
    baseline = make(name).baseline()
    assert baseline.loss == pytest.approx(math.log(10))
    assert baseline.metric == pytest.approx(0.1)


@every_image_task
def test_a_task_is_made_without_its_data(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDINGS_DATA", str(tmp_path / "nowhere"))
    task = make(name)
    with pytest.raises(DataError, match="there is no such folder"):
        task.prepare()


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("smnist", {"held_out_size": 0}, "'held_out_size' of smnist is 0, but must be 1 or more"),
        ("scifar10", {"held_out_size": 10_001}, "is 10001, but must be 10,000 or less"),
        ("psmnist", {"permutation": -1}, "'permutation' of psmnist is -1, but must be 0 or more"),
        ("psmnist", {"held_out_size": 0}, "'held_out_size' of psmnist is 0, but must be 1 or more"),
        ("smnist", {"permutation": 1}, "unknown option 'permutation' of smnist"),
    ],
)
def test_impossible_options_are_refused(name, options, sentence):
    with pytest.raises(OptionError, match=sentence):
        make(name, options)


def test_the_permutation_is_recorded_and_is_the_same_in_every_version():
    """Digests pin the orders, so that another NumPy cannot change what was published."""
    digests = []
    for seed in (0, 1):
        order = make("psmnist", {"permutation": seed}).facts()["permutation"]
        assert sorted(order) == list(range(784))
        digests.append(hashlib.sha256(json.dumps(order).encode()).hexdigest()[:16])
    assert digests == ["528a8f221a5d6156", "143abd32755fa0d9"]
    assert make("smnist").facts() == {}
