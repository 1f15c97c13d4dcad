"""Sweep files narrow the search space; a space that is impossible is refused."""

import pytest

from orchestrator.spec.search import SearchSpec
from orchestrator.spec.sweep import load
from tests.support.sweep_files import SWEEP, refusal, refused, write
from trainables.space import Choice, LogUniform, Uniform

RANGE = "{low: 1e-3, high: 1e-1}"
LIKE = "like {low: 0.0001, high: 0.1}"
SHAPE = f"15: the range of hyperparameter 'learning_rate' must be {LIKE}"
ORDER = (
    "15: the range of hyperparameter 'learning_rate' must have its low above zero and below its "
    f"high, {LIKE}"
)
RATE, OPTIMIZER = "15: hyperparameter 'learning_rate'", "14: hyperparameter 'optimizer'"
CLIP = "15: hyperparameter 'clip_norm'"
MISTAKES = [
    (
        "learning_rate:",
        "learning_rat:",
        "15: unknown hyperparameter 'learning_rat'; did you mean 'learning_rate'?",
    ),
    ("[adam, rmsprop]", "[adam, adan]", f"{OPTIMIZER} cannot be 'adan'; did you mean 'adam'?"),
    ("[adam, rmsprop]", "3", f"{OPTIMIZER} cannot be 3; known: adam, momentum, rmsprop, sgd"),
    ("[adam, rmsprop]", "[[adam]]", f"{OPTIMIZER} cannot be ['adam']; did you mean 'adam'?"),
    ("[adam, rmsprop]", "[]", f"{OPTIMIZER} has an empty list of values"),
    (RANGE, "{low: 1e-3}", SHAPE),
    (RANGE, "{low: 1, high: 2, step: 1}", SHAPE),
    (RANGE, "{}", SHAPE),
    (RANGE, "{low: 0.1, high: 0.1}", ORDER),
    (RANGE, "{low: 0.1, high: 0.01}", ORDER),
    (RANGE, "{low: 0, high: 0.1}", ORDER),
    (RANGE, "{low: 0.1, high: .inf}", f"{RATE} is inf, but must be a number"),
    (RANGE, "{low: a, high: 1}", f"{RATE} is 'a', but must be a number"),
    (RANGE, "[0.1, .nan]", f"{RATE} is nan, but must be a number"),
    (RANGE, "yes", f"{RATE} is True, but must be a number"),
    (RANGE, "", f"{RATE} is None, but must be a number"),
    (RANGE, "2001-01-01", "15: '2001-01-01' is a date, which no value is; a text stands in quotes"),
    (RANGE, "[]", f"{RATE} has an empty list of values"),
    (RANGE, "[0.1, -0.1]", f"{RATE} is -0.1, but must be zero or more"),
    (RANGE, ".inf", f"{RATE} is inf, but must be a number"),
    (RANGE, "none", f"{RATE} is 'none', but must be a number"),
    (f"learning_rate: {RANGE}", "clip_norm: -.inf", f"{CLIP} is -inf, but must be a number"),
    (f"learning_rate: {RANGE}", "clip_norm: [1, .nan]", f"{CLIP} is nan, but must be a number"),
    (
        f"learning_rate: {RANGE}",
        "clip_norm: inf",
        f"{CLIP} is 'inf', but must be a number, or .inf, which clips nothing",
    ),
    (f"learning_rate: {RANGE}", "clip_norm: off", f"{CLIP} is False, but must be a number"),
    (
        f"learning_rate: {RANGE}",
        "clip_norm: {low: 1, high: .inf}",
        f"{CLIP} is inf, but must be a number",
    ),
    (f"learning_rate: {RANGE}", "clip_norm: [.inf, -1]", f"{CLIP} is -1, but must be zero or more"),
    (
        f"learning_rate: {RANGE}",
        "momentum_logit: {low: 3, high: 1}",
        "15: the range of hyperparameter 'momentum_logit' must have its low below its high, like "
        "{low: 1, high: 7}",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), MISTAKES)
def test_a_mistake_in_the_search_space_is_refused_with_its_line(tmp_path, right, wrong, sentence):
    assert refused(tmp_path, right, wrong) == [sentence]


@pytest.mark.parametrize("order", [["rnn", "intersection"], ["intersection", "rnn"]])
def test_a_value_must_be_possible_for_every_architecture_that_has_the_hyperparameter(
    tmp_path, order
):
    # The intersection network can start at the identity, the plain network cannot.
    text = SWEEP.replace("  - rnn", f"  - {order[0]}\n  - {order[1]}")
    assert load(write(tmp_path, text.replace("space:", "space:\n    h_square: normal")))
    wrong = text.replace("space:", "space:\n    h_square: identity")
    assert refusal(write(tmp_path, wrong)) == [
        "15: hyperparameter 'h_square' cannot be 'identity'; known: normal, orthogonal "
        "(architecture rnn)"
    ]


@pytest.mark.parametrize(
    ("original", "entry", "narrowed"),
    [
        (Choice(("a", "b", "c")), "b", Choice(("b",))),
        (Choice(("a", "b", "c")), ["c", "a"], Choice(("c", "a"))),
        (LogUniform(1e-4, 1e-1), {"low": 1e-3, "high": 1}, LogUniform(1e-3, 1.0)),
        (Uniform(-2.0, 2.0), {"low": -1, "high": 0}, Uniform(-1.0, 0.0)),
        (LogUniform(1e-4, 1e-1), 0.01, Choice((0.01,))),
        (LogUniform(1e-8, 1e-3), 0, Choice((0.0,))),
        (Uniform(-2.0, 2.0), [-1, 1.5], Choice((-1.0, 1.5))),
    ],
)
def test_the_range_in_the_file_replaces_the_papers_range(original, entry, narrowed):
    search = SearchSpec(samples=1, space={"x": entry})
    assert search.narrow("x", original) == narrowed
    assert search.narrow("y", original) == original
