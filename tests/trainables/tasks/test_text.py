"""Compares passages of text with slices of the file's own string."""

import itertools
import math
import string

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import task_files
from trainables.data import DataError
from trainables.registry import OptionError
from trainables.tasks import make

SPLITS = ("training", "validation", "evaluation")
TEXTS = {"text8": task_files.TEXT8, "shakespeare": task_files.PLAYS}
SYMBOLS = {"text8": task_files.LETTERS, "shakespeare": task_files.SYMBOLS}
CUTS = {"text8": (18_000, 19_000), "shakespeare": (9_600, 10_800)}  # 90/5/5 % and 80/10/10 %
both_texts = pytest.mark.parametrize("name", TEXTS)


def section(name, split):
    """Return the characters of a split and the position at which they begin."""
    first, second = CUTS[name]
    start, end = {
        "training": (0, first),
        "validation": (first, second),
        "evaluation": (second, len(TEXTS[name])),
    }[split]
    return TEXTS[name][start:end], start


def draw(task, split, size):
    if split == "training":
        return task.batch(seed=0, lanes=[0], step=0, size=size)
    return task.held_out(split, seed=0)


def passages(name, task, batch):
    """Yield each sample as the string of its inputs and that of its targets."""
    assert set(batch.inputs.unique().tolist()) == {0.0, 1.0}
    assert (batch.inputs.sum(-1) == 1).all()
    for row in range(batch.inputs.shape[2]):
        codes = batch.inputs[0, :, row].argmax(-1).tolist()
        inputs = "".join(SYMBOLS[name][code] for code in codes)
        targets = "".join(SYMBOLS[name][code] for code in batch.targets[0, row].tolist())
        assert len(inputs) == task.length
        yield inputs, targets


def test_the_default_sizes_are_those_of_the_paper():
    text8, plays = make("text8"), make("shakespeare")
    assert (text8.inputs, text8.outputs) == (27, 27)
    assert (text8.length, text8.first_output) == (50, 13)
    assert (plays.inputs, plays.outputs) == (65, 65)
    assert (plays.length, plays.first_output) == (64, 0)
    assert set(SYMBOLS["text8"]) == set(string.ascii_lowercase + " ")


@both_texts
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("length", "warm_up"), [(1, 0), (12, 0), (12, 5), (12, 11)])
def test_a_passage_lies_in_its_section_and_each_target_is_the_next_character(
    name, split, length, warm_up
):
    task = make(name, {"length": length, "warm_up": warm_up, "held_out_size": 60})
    batch = draw(task, split, 60)
    assert batch.targets.shape == (1, 60, length - warm_up)
    text, _ = section(name, split)
    for inputs, targets in passages(name, task, batch):
        # The whole passage, targets included, is in the section.
        starts = [at for at in range(len(text) - length) if text[at : at + length] == inputs]
        assert targets in [text[at + warm_up + 1 : at + length + 1] for at in starts]


@both_texts
def test_no_passage_overlaps_another_section(name):
    task = make(name, {"length": 12, "held_out_size": 90, "warm_up": 0})
    covered = {}
    for split in SPLITS:
        covered[split] = set()
        for inputs, targets in passages(name, task, draw(task, split, 5000)):
            passage = inputs + targets[-1]
            # 13 random letters occur only once, so the position is known.
            assert TEXTS[name].count(passage) == 1
            start = TEXTS[name].index(passage)
            covered[split].update(range(start, start + 13))
    for first, second in itertools.combinations(SPLITS, 2):
        assert covered[first].isdisjoint(covered[second])
    # Passages cover all of the training section but for chance and an end too short for a chunk.
    text, _ = section(name, "training")
    assert len(covered["training"]) > 0.95 * len(text)
    assert max(covered["training"]) > len(text) - 20


def test_passages_of_text8_begin_anywhere():
    task = make("text8", {"length": 990, "warm_up": 0, "held_out_size": 400})
    for split in ("validation", "evaluation"):
        text, _ = section("text8", split)
        pairs = passages("text8", task, task.held_out(split, seed=0))
        starts = {text.index(inputs) for inputs, _ in pairs}
        # A passage of 990 of 1,000 characters has a next one if it begins at one of the first ten.
        assert starts == set(range(10))


def test_a_section_of_one_passage_is_enough(tmp_path, monkeypatch):
    task_files.write_text8(tmp_path, task_files.TEXT8[:1000])
    monkeypatch.setenv("SOUNDINGS_DATA", str(tmp_path))
    task = make("text8", {"length": 49, "warm_up": 0, "held_out_size": 3})
    for split, start in (("validation", 900), ("evaluation", 950)):
        for inputs, targets in passages("text8", task, task.held_out(split, seed=0)):
            assert inputs + targets[-1] == task_files.TEXT8[start : start + 50]


def test_chunks_of_shakespeare_follow_each_other_without_gap_or_overlap():
    task = make("shakespeare", {"length": 64, "held_out_size": 18})
    for split in SPLITS:
        text, _ = section("shakespeare", split)
        starts = [
            text.index(inputs)
            for inputs, _ in passages("shakespeare", task, draw(task, split, 2000))
        ]
        if split == "training":  # 149 chunks of 64 with a next character in 9,600
            assert set(starts) == set(range(0, 64 * 149, 64))
            counts = np.bincount(np.array(starts) // 64, minlength=149)
            assert counts.max() < 2000 / 149 + 5 * math.sqrt(2000 / 149)
        else:  # the chunks from the front, once each
            assert starts == list(range(0, 64 * 18, 64))


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(TEXTS)), length=st.integers(1, 80), data=st.data())
def test_shapes_follow_from_length_and_warm_up(name, length, data):
    warm_up = data.draw(st.integers(0, length - 1))
    task = make(name, {"length": length, "warm_up": warm_up, "held_out_size": 10})
    batch = task.batch(seed=0, lanes=[0], step=0, size=4)
    assert batch.inputs.shape == (1, length, 4, len(SYMBOLS[name]))
    assert batch.targets.shape == (1, 4, length - warm_up)
    assert task.first_output == warm_up


@both_texts
def test_the_metric_is_in_bits(name):
    task = make(name)
    rng = np.random.default_rng(0)
    symbols = task.outputs
    logits, targets = rng.normal(size=(2, 5, 3, symbols)), rng.integers(symbols, size=(2, 3, 5))
    bits = np.zeros(2)
    for lane, step, sample in np.ndindex(2, 5, 3):
        row, target = logits[lane, step, sample], targets[lane, sample, step]
        bits[lane] -= np.log2(np.exp(row[target]) / np.exp(row).sum()) / 15
    outputs, answers = torch.from_numpy(logits), torch.from_numpy(targets)
    metric = task.metric(task.scores(outputs, answers).mean(1))
    np.testing.assert_allclose(metric, bits, rtol=1e-12)
    losses = task.losses(outputs, answers).mean(1)
    np.testing.assert_allclose(losses, bits * math.log(2), rtol=1e-12)


@both_texts
def test_perplexity_is_two_to_the_bits(name):
    task = make(name)
    assert task.further(3.0, 1000) == {"perplexity": 8.0}
    # The perplexity of chance is the number of symbols.
    perplexity = task.further(task.baseline().metric, 1000)["perplexity"]
    assert perplexity == pytest.approx(len(SYMBOLS[name]))


@both_texts
@pytest.mark.parametrize(("length", "warm_up"), [(8, 8), (8, 20), (1, 1)])
def test_a_passage_that_is_all_warm_up_is_refused(name, length, warm_up):
    sentence = (
        f"option 'warm_up' of {name} is {warm_up}, but a passage has only {length} characters"
    )
    with pytest.raises(OptionError, match=sentence):
        make(name, {"length": length, "warm_up": warm_up})


@both_texts
@pytest.mark.parametrize(("option", "value"), [("length", 0), ("warm_up", -1)])
def test_a_length_or_warm_up_below_the_least_is_refused(name, option, value):
    sentence = f"option '{option}' of {name} is {value}, but must be {value + 1} or more"
    with pytest.raises(OptionError, match=sentence):
        make(name, {option: value})


@pytest.mark.parametrize(
    ("name", "length", "sentence"),
    [
        (
            "text8",
            1000,
            "the text has 20,000 characters: its validation section of 1,000 is too short for "
            "passages of 1000",
        ),
        (
            "shakespeare",
            1200,
            "the text has 12,000 characters: its validation section of 1,200 is too short for "
            "passages of 1200",
        ),
        (
            "text8",
            18_000,
            "the text has 20,000 characters: its training section of 18,000 is too short for "
            "passages of 18000",
        ),
    ],
)
def test_a_text_too_short_for_its_passages_is_refused(name, length, sentence):
    task = make(name, {"length": length, "warm_up": 0})
    with pytest.raises(DataError) as caught:
        task.prepare()
    assert str(caught.value) == sentence


def test_holding_out_more_chunks_than_there_are_is_refused():
    fits = make("shakespeare", {"length": 64, "held_out_size": 18})
    assert fits.held_out("validation", seed=0).inputs.shape[2] == 18
    with pytest.raises(DataError) as caught:  # before any training
        make("shakespeare", {"length": 64, "held_out_size": 19}).prepare()
    assert str(caught.value) == (
        "held_out_size is 19, but the validation section has only 18 chunks of 64 characters"
    )


@both_texts
def test_a_task_is_made_without_its_data(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDINGS_DATA", str(tmp_path / "nowhere"))
    task = make(name)
    with pytest.raises(DataError, match="there is no such folder"):
        task.prepare()
