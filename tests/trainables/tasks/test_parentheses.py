"""Compares counts of brackets with a counter in plain Python."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trainables.tasks import make
from trainables.tasks.parentheses import count_open

PAIRS = ["()", "<>", "[]", "{}", "/\\", "AB", "CD", "EF", "GH", "IJ"]
ALPHABET = "".join(p[0] for p in PAIRS) + "".join(p[1] for p in PAIRS) + "abcdefghij"


def count(text, pair):
    """Return how many ``pair`` are open at the end of ``text``, never below 0 or above 9."""
    value = 0
    for character in text:
        if character == pair[0] and value < 9:
            value += 1
        elif character == pair[1] and value > 0:
            value -= 1
    return value


def counted(text, pair):
    """Return the count in the stream of ``pair`` when all ten streams carry ``text``."""
    symbols = [[[ALPHABET.index(character)] * 10] for character in text]
    return count_open(np.array(symbols, dtype=np.int64))[0, PAIRS.index(pair)]


def test_the_alphabet_has_ten_pairs_and_ten_letters_of_noise():
    assert len(set(ALPHABET)) == 30


@pytest.mark.parametrize(
    ("text", "pair", "expected"),
    [
        ("(a<a<bcb>[[[)", "<>", 1),  # the paper's example
        ("(a<a<bcb>[[[)", "[]", 3),
        ("(a<a<bcb>[[[)", "()", 0),
        ("a(<(b)[(", "()", 2),
        (")))((", "()", 2),
        ("(" * 12, "()", 9),
        ("(" * 12 + ")))", "()", 6),
        ("(" * 12 + ")" * 15 + "(", "()", 1),
        ("abc", "IJ", 0),
        ("IIJI", "IJ", 2),
    ],
)
def test_count_open_gives_the_counts_of_known_strings(text, pair, expected):
    assert count(text, pair) == expected
    assert counted(text, pair) == expected


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.sampled_from("((((()))<>ab"), min_size=1, max_size=60),
    pair=st.sampled_from(PAIRS[:3]),
)
def test_count_open_gives_the_counts_of_random_strings(text, pair):
    assert counted(text, pair) == count(text, pair)


def test_a_sample_is_ten_one_hot_streams_and_their_counts():
    task = make("parentheses", {"length": 175})
    assert (task.inputs, task.outputs, task.length) == (300, 100, 175)
    batch = task.batch(seed=0, lanes=[0], step=0, size=30)
    streams = batch.inputs[0].reshape(175, 30, 10, 30)  # 30 samples, 10 streams, 30 symbols
    assert set(batch.inputs.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(streams.sum(-1), torch.ones(175, 30, 10))
    symbols = streams.argmax(-1)
    highest = 0
    for sample in range(30):
        for kind in range(10):
            text = "".join(ALPHABET[symbol] for symbol in symbols[:, sample, kind])
            expected = count(text, PAIRS[kind])
            assert batch.targets[0, sample, kind] == expected
            highest = max(highest, expected)
    assert highest >= 5


def test_half_of_the_symbols_are_noise_and_all_of_one_kind_are_equally_likely():
    task = make("parentheses", {"length": 50})
    symbols = task.symbols(np.random.default_rng(0), 100)
    assert symbols.shape == (50, 100, 10)
    counts = np.bincount(symbols.ravel(), minlength=30)
    expected = np.array([1 / 40] * 20 + [1 / 20] * 10) * symbols.size
    assert len(counts) == 30
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_the_loss_is_the_sum_of_ten_cross_entropies_and_the_metric_the_share_of_right_counts():
    task = make("parentheses", {"length": 10})
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, 3, 10, 10)), rng.integers(10, size=(2, 3, 10))
    losses, right = np.zeros((2, 3)), np.zeros((2, 3))
    for lane, sample, kind in np.ndindex(2, 3, 10):
        row, target = logits[lane, sample, kind], targets[lane, sample, kind]
        losses[lane, sample] += np.log(np.exp(row).sum()) - row[target]
        right[lane, sample] += (row.argmax() == target) / 10
    # Outputs before the last step do not count.
    outputs = torch.from_numpy(rng.normal(size=(2, 4, 3, 100)))
    outputs[:, -1] = torch.from_numpy(logits.reshape(2, 3, 100))
    given_targets = torch.from_numpy(targets)
    np.testing.assert_allclose(task.losses(outputs, given_targets), losses, rtol=1e-12)
    np.testing.assert_allclose(task.scores(outputs, given_targets), right, rtol=1e-6)


def test_the_baseline_is_that_of_simulated_counts_at_the_papers_length():
    # Shares of the counts after 175 symbols, simulated as a random walk that stays within 0 and 9.
    rng = np.random.default_rng(1)
    walk = np.zeros(200_000, dtype=int)
    for _ in range(175):
        move = rng.choice([1, -1, 0], p=[1 / 40, 1 / 40, 38 / 40], size=len(walk))
        walk = np.clip(walk + move, 0, 9)
    shares = np.bincount(walk, minlength=10) / len(walk)
    baseline = make("parentheses").baseline()
    assert baseline.metric == pytest.approx(shares.max(), abs=0.005)
    assert baseline.loss == pytest.approx(10 * stats.entropy(shares), rel=0.005)
