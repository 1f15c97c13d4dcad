"""Tests the real digits: a fixed stratified split of scikit-learn's images, a pixel per step."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from trainables.registry import OptionError
from trainables.tasks import make

IMAGES, LABELS = load_digits(return_X_y=True)
SIZES = {"training": 1197, "validation": 300, "evaluation": 300}


@pytest.fixture(scope="module")
def digits():
    return make("digits")


def test_the_splits_share_no_row_and_leave_none_out(digits):
    assert {split: len(rows) for split, rows in digits.rows.items()} == SIZES
    rows = np.concatenate(list(digits.rows.values()))
    assert sorted(rows) == list(range(1797))


@pytest.mark.parametrize("split", SIZES)
def test_every_split_has_the_same_share_of_every_digit(split, digits):
    counts = np.bincount(LABELS[digits.rows[split]], minlength=10)
    expected = np.bincount(LABELS) * SIZES[split] / 1797
    assert np.abs(counts - expected).max() <= 1.5


def test_the_split_is_the_same_in_every_version(digits):
    # Measured losses can be compared only if they are of the same rows.
    assert sorted(digits.rows["evaluation"])[:8] == [5, 14, 27, 36, 53, 57, 63, 88]
    assert sorted(digits.rows["validation"])[:8] == [7, 11, 13, 15, 21, 41, 42, 45]


@pytest.mark.parametrize("split", ["validation", "evaluation"])
def test_a_sample_is_the_pixels_of_its_image_in_scan_order(split, digits):
    batch = digits.held_out(split, seed=0)
    training = IMAGES[digits.rows["training"]]
    expected = (IMAGES[digits.rows[split]] - training.mean()) / training.std()
    np.testing.assert_allclose(batch.inputs[0, :, :, 0].T, expected, rtol=0, atol=1e-6)
    assert batch.targets[0].tolist() == LABELS[digits.rows[split], None].tolist()
    assert (digits.length, digits.inputs, digits.outputs, digits.first_output) == (64, 1, 10, 63)


def test_training_draws_all_training_images_and_only_these(digits):
    batch = digits.batch(seed=0, lanes=[0], step=0, size=12_000)
    training = IMAGES[digits.rows["training"]]
    scaled = ((training - training.mean()) / training.std()).astype(np.float32)
    label_of = {
        image.tobytes(): label
        for image, label in zip(scaled, LABELS[digits.rows["training"]], strict=True)
    }
    drawn_images = set()
    labels = batch.targets[0, :, 0]
    for image, label in zip(batch.inputs[0, :, :, 0].T.numpy(), labels, strict=True):
        key = np.ascontiguousarray(image).tobytes()
        assert label_of[key] == label
        drawn_images.add(key)
    assert len(drawn_images) > 0.999 * len(label_of)


def test_the_loss_is_the_cross_entropy_of_the_last_output(digits):
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(2, 3, 5, 10)), rng.integers(10, size=(2, 5, 1))
    last = outputs[:, -1]
    right = np.take_along_axis(last, targets, axis=-1)[..., 0]
    expected = np.log(np.exp(last).sum(-1)) - right
    # The readout gives the last step alone: first_output is that step.
    args = torch.from_numpy(outputs[:, -1:]), torch.from_numpy(targets)
    np.testing.assert_allclose(digits.losses(*args), expected, rtol=1e-12)
    np.testing.assert_array_equal(digits.scores(*args), last.argmax(-1) == targets[..., 0])


def test_permuted_digits_are_the_digits_in_one_order_for_all_images_and_splits(digits):
    permuted = make("digits", {"permutation": 0})
    order = permuted.facts()["permutation"]
    assert sorted(order) == list(range(64))
    assert (np.array(order) != np.arange(64)).mean() > 0.9
    for split in ("validation", "evaluation"):
        plain, shown = (task.held_out(split, seed=0) for task in (digits, permuted))
        assert torch.equal(plain.inputs[:, order], shown.inputs)
        assert torch.equal(plain.targets, shown.targets)
    plain, shown = (t.batch(seed=0, lanes=[0, 1], step=3, size=9) for t in (digits, permuted))
    assert torch.equal(plain.inputs[:, order], shown.inputs)


def test_the_order_is_a_function_of_the_option_and_the_same_in_every_version():
    orders = [make("digits", {"permutation": seed}).facts()["permutation"] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][:8] == [59, 12, 41, 39, 23, 56, 16, 63]
    assert make("digits").facts() == {}


def test_a_negative_permutation_is_refused():
    with pytest.raises(OptionError, match="'permutation' of digits is -1, but must be 0 or more"):
        make("digits", {"permutation": -1})
