"""Sweep files with unknown architectures, tasks or options, or with duplicates, are refused."""

import pytest

from orchestrator.spec.sweep import load
from tests.support.sweep_files import SWEEP, refused, write

NAMES = [
    ("- rnn", "- gruu", "4: unknown architecture 'gruu'; did you mean 'gru'?"),
    (
        "- rnn",
        "- digits",
        "4: unknown architecture 'digits'; known: cprnn, deep_transition, "
        "deep_transition_mlp, deep_transition_shortcut, deep_transition_skip, elman, gru, "
        "intersection, irnn, linear_rnn, lstm, mirnn, rnn, s4d, second_order, ugrnn, ur_lstm, "
        "wcrnn",
    ),
    ("- digits", "- dgits", "8: unknown task 'dgits'; did you mean 'digits'?"),
    (
        "- digits",
        "- xyz",
        "8: unknown task 'xyz'; known: adding, arithmetic, delayed_copy, delayed_power, "
        "delayed_sine, digits, memory, parentheses, parity, perceptron_capacity, psmnist, "
        "random_continuous_function, running_product, running_sum, scifar10, shakespeare, smnist, "
        "temporal_product, text8",
    ),
]
OPTIONS = [
    ("alpha: 0.9", "alfa: 0.9", "5: unknown option 'alfa' of wcrnn; did you mean 'alpha'?"),
    (
        "- rnn",
        "- {name: rnn, options: {alpha: 1}}",
        "4: unknown option 'alpha' of rnn; known: act, nonlinearity, skip",
    ),
    (
        "alpha: 0.9",
        "residual: heterogenous",
        "5: option 'residual' of wcrnn is 'heterogenous'; did you mean 'heterogeneous'?",
    ),
    (
        "alpha: 0.9",
        "residual: [scaled]",
        "5: option 'residual' of wcrnn is ['scaled']; did you mean 'scaled'?",
    ),
    (
        "alpha: 0.9",
        "alpha: high",
        "5: option 'alpha' of wcrnn is 'high', but must be a number",
    ),
    ("alpha: 0.9", "alpha: yes", "5: option 'alpha' of wcrnn is True, but must be a number"),
    ("alpha: 0.9", "alpha: -0.5", "5: option 'alpha' of wcrnn is -0.5, but must be 0 or more"),
    ("alpha: 0.9", "alpha: .nan", "5: option 'alpha' of wcrnn is nan, but must be 0 or more"),
    ("alpha: 0.9", "alpha: .inf", "5: option 'alpha' of wcrnn is inf, but must be 0 or more"),
    (
        "length: 20",
        "length: 20.5",
        "9: option 'length' of parentheses is 20.5, but must be a whole number",
    ),
    ("length: 20", "length: 0", "9: option 'length' of parentheses is 0, but must be 1 or more"),
    (
        "length: 20",
        "length: 20,\n      held_out_size: 0",
        "10: option 'held_out_size' of parentheses is 0, but must be 1 or more",
    ),
]
TWICE = [
    ("[1, 2]", "[1, 2, 1]", "6: 1 stands in the list twice"),
    ("[10_000]", "[10_000, 10000]", "10: 10000 stands in the list twice"),
    ("- digits", "- digits\n  - digits", "9: digits stands in the list twice"),
    (  # the same network under another spelling
        "- rnn",
        "- {name: wcrnn, options: {alpha: 0.9, gamma: 0.05}}",
        "5: wcrnn(alpha=0.9) stands in the list twice",
    ),
    (
        "- digits",
        "- parentheses\n  - {name: parentheses, options: {length: 175}}",
        "9: parentheses(length=175) stands in the list twice",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), [*NAMES, *OPTIONS, *TWICE])
def test_an_unknown_name_a_bad_option_or_a_duplicate_is_refused_with_its_line(
    tmp_path, right, wrong, sentence
):
    assert refused(tmp_path, right, wrong) == [sentence]


def test_the_same_name_with_other_options_is_no_duplicate(tmp_path):
    text = SWEEP.replace("- rnn", "- wcrnn").replace("- digits", "- parentheses")
    spec = load(write(tmp_path, text))
    assert [a.label for a in spec.architectures] == ["wcrnn", "wcrnn(alpha=0.9)"]
    assert [t.label for t in spec.tasks] == ["parentheses", "parentheses(length=20)"]
