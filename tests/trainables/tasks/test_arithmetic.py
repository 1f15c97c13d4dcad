"""Reads additions back as characters and works them out with Python's integers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trainables.registry import OptionError
from trainables.space import draw
from trainables.tasks import make
from trainables.tasks.arithmetic import write

PROBLEM_SYMBOLS = "0123456789- +="
ANSWER_SYMBOLS = "0123456789- "
BOUND = 10**7
number = st.integers(-BOUND, BOUND)


def configured(compute_steps, **options):
    return make("arithmetic", options).configured({"compute_steps": compute_steps}, 1000)


def read(codes, symbols):
    return "".join(symbols[code] for code in codes)


def numbers_in(problem):
    """Return the two numbers of a problem, whose '+' may be followed by a minus."""
    assert len(problem) == 36
    assert problem.index("=") == 19
    assert problem[20:] == " " * 16
    first, _, second = problem[:19].strip(" ").partition("+")
    assert problem[:19] == f"{first}+{second}".rjust(19)
    assert str(int(first)) == first  # no leading zero, no minus before it
    assert str(int(second)) == second
    return int(first), int(second)


def assert_answered(problem, answer, compute_steps):
    first, second = numbers_in(problem)
    right = str(first + second)
    assert len(answer) == 16
    assert answer.strip(" ") == right
    # The first of the 16 steps is one step after '='.
    assert answer.index(right) + 1 == compute_steps


@settings(max_examples=300, deadline=None)
@given(first=number, second=number, compute_steps=st.integers(1, 6))
def test_a_problem_of_any_two_numbers_is_written_with_its_sum(first, second, compute_steps):
    problems, answers = write(np.array([[first], [second]]), compute_steps)
    problem = read(problems[0], PROBLEM_SYMBOLS)
    assert numbers_in(problem) == (first, second)
    assert_answered(problem, read(answers[0], ANSWER_SYMBOLS), compute_steps)


@pytest.mark.parametrize(
    ("first", "second", "problem", "answer"),
    [
        (-BOUND, -BOUND, "-10000000+-10000000=", "     -20000000"),
        (BOUND, BOUND, "  10000000+10000000=", "     20000000"),
        (-BOUND, BOUND, " -10000000+10000000=", "     0"),
        (0, 0, " " * 16 + "0+0=", "     0"),
        (-343243, 93851, "      -343243+93851=", "     -249392"),
    ],
)
def test_the_longest_problems_fit_and_the_example_of_the_docstring_is_right(
    first, second, problem, answer
):
    problems, answers = write(np.array([[first], [second]]), 6)
    assert read(problems[0], PROBLEM_SYMBOLS) == problem + " " * 16
    assert read(answers[0], ANSWER_SYMBOLS) == answer.ljust(16)


@pytest.mark.parametrize("compute_steps", range(1, 7))
def test_a_batch_has_one_hot_problems_and_their_answers(compute_steps):
    task = configured(compute_steps)
    assert (task.inputs, task.outputs, task.length, task.first_output) == (14, 12, 36, 20)
    batch = task.batch(seed=0, lanes=[0, 1], step=0, size=100)
    assert set(batch.inputs.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(batch.inputs.sum(-1), torch.ones(2, 36, 100))
    codes = batch.inputs.argmax(-1)
    for lane in range(2):
        for row in range(100):
            problem = read(codes[lane, :, row], PROBLEM_SYMBOLS)
            assert_answered(problem, read(batch.targets[lane, row], ANSWER_SYMBOLS), compute_steps)


def test_compute_steps_move_the_answers_of_the_same_problems():
    batches = [configured(k).batch(seed=0, lanes=[0], step=0, size=50) for k in (1, 4)]
    assert torch.equal(batches[0].inputs, batches[1].inputs)
    assert torch.equal(batches[0].targets[..., :13], batches[1].targets[..., 3:])


def test_both_numbers_are_uniform_and_independent():
    task = configured(1)
    codes = task.batch(seed=0, lanes=[0], step=0, size=5000).inputs[0].argmax(-1)
    pairs = np.array([numbers_in(read(row, PROBLEM_SYMBOLS)) for row in codes.T.tolist()])
    for column in pairs.T:
        assert stats.kstest(column, stats.uniform(-BOUND, 2 * BOUND).cdf).pvalue > 1e-3
        assert np.abs(column).max() <= BOUND
    assert stats.pearsonr(pairs[:, 0], pairs[:, 1]).pvalue > 1e-3


def test_both_ends_of_the_range_of_numbers_are_drawn():
    class Recorder:
        def integers(self, low, high, *, size, endpoint):
            return np.array([[low], [high if endpoint else high - 1]])

    inputs, _ = configured(1).samples("training", Recorder(), 1)
    assert numbers_in(read(inputs[:, 0].argmax(-1), PROBLEM_SYMBOLS)) == (-BOUND, BOUND)


def test_compute_steps_are_one_to_six():
    space = make("arithmetic").hyperparameters
    drawn = {draw(space, "tests", index)["compute_steps"] for index in range(100)}
    assert drawn == {1, 2, 3, 4, 5, 6}


def test_the_loss_is_the_mean_cross_entropy_of_the_16_steps():
    task = configured(2)
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, 16, 3, 12)), rng.integers(12, size=(2, 3, 16))
    losses, right = np.zeros((2, 3)), np.zeros((2, 3))
    for lane, step, sample in np.ndindex(2, 16, 3):
        row, target = logits[lane, step, sample], targets[lane, sample, step]
        losses[lane, sample] += (np.log(np.exp(row).sum()) - row[target]) / 16
        right[lane, sample] += (row.argmax() == target) / 16
    args = torch.from_numpy(logits), torch.from_numpy(targets)
    np.testing.assert_allclose(task.losses(*args), losses, rtol=1e-12)
    np.testing.assert_allclose(task.scores(*args), right, rtol=1e-6)


def test_the_baseline_accounts_for_the_signs_and_the_blank_last_steps_of_answers():
    """The sum is triangular on -2 10^7 .. 2 10^7; only how often it has a minus is counted here."""
    task = configured(1)
    answers = task.batch(seed=3, lanes=[0], step=0, size=10_000).targets[0]
    minus = (answers[:, 0] == ANSWER_SYMBOLS.index("-")).double().mean()
    assert abs(minus - 0.5) < 4.5 * 0.5 / 100
    # At the last seven steps no answer has a character: they are free in loss and accuracy.
    assert (answers[:, 9:] == ANSWER_SYMBOLS.index(" ")).all()
    baseline = task.baseline()
    assert baseline.metric > (7 + 0.5) / 16
    assert baseline.loss < 9 / 16 * np.log(12)


def test_a_held_out_size_of_zero_is_refused():
    with pytest.raises(OptionError, match="option 'held_out_size' of arithmetic is 0, but must be"):
        make("arithmetic", {"held_out_size": 0})
