"""Search spaces against appendix A of the capacity paper, and the draws from them."""

import math

import numpy as np
import pytest
from scipy import stats

from trainables.architectures import ARCHITECTURES, search_space
from trainables.space import Choice, LogUniform, Uniform, draw

LEARNING = {
    "optimizer": Choice(("sgd", "momentum", "rmsprop", "adam")),
    "learning_rate": LogUniform(1e-4, 1e-1),
    "learning_rate_decay": LogUniform(1e-3, 1.0),
    "momentum_logit": Uniform(1.0, 7.0),
    "clip_norm": LogUniform(1.0, 100.0),
    "l2": LogUniform(1e-8, 1e-3),
}
READOUT = {"readout_scale": LogUniform(0.001, 2.0), "readout_bias_scale": Uniform(-2.0, 2.0)}
BIASES = {"bias_distribution": Choice(("constant", "normal"))}
NONLINEARITY = {"nonlinearity": Choice(("relu", "tanh"))}
GATES = {
    "rnn": ["h"],
    "ugrnn": ["update", "candidate"],
    "gru": ["reset", "update", "candidate"],
    "lstm": ["input", "forget", "output", "candidate"],
    "intersection": ["y", "h", "y_gate", "h_gate"],
}
FORGET_BIASES = {
    "rnn": [],
    "ugrnn": ["forget_bias"],
    "gru": ["forget_bias"],
    "lstm": ["forget_bias"],
    "intersection": ["forget_bias_y", "forget_bias_h"],
}


def appendix(name):
    """The hyperparameters of an architecture as the paper lists them."""
    if name == "irnn":  # starts at the identity and zero biases with a ReLU: nothing else to tune
        return LEARNING | READOUT | BIASES | {"h_input_scale": LogUniform(0.001, 2.0)}
    kinds = ("orthogonal", "normal") if name == "rnn" else ("identity", "orthogonal", "normal")
    expected = LEARNING | READOUT | BIASES
    if name != "intersection":
        expected |= NONLINEARITY
    for gate in GATES[name]:
        expected |= {
            f"{gate}_square": Choice(kinds),
            f"{gate}_square_scale": LogUniform(0.01, 2.0),
            f"{gate}_input_scale": LogUniform(0.001, 2.0),
            f"{gate}_bias_scale": Uniform(-2.0, 2.0),
        }
    return expected | {bias: Uniform(0.0, 6.0) for bias in FORGET_BIASES[name]}


@pytest.mark.parametrize("name", ["rnn", "irnn", "ugrnn", "gru", "lstm", "intersection"])
def test_ranges_are_those_of_the_paper(name):
    assert search_space(name) == appendix(name)


@pytest.mark.parametrize(
    ("name", "dimensions"),
    [("irnn", 10), ("rnn", 14), ("ugrnn", 19), ("gru", 23), ("lstm", 27), ("intersection", 27)],
)
def test_an_architecture_of_the_paper_has_between_10_and_27_dimensions(name, dimensions):
    assert len(search_space(name)) == dimensions


def samples(domain, count=2000):
    return [draw({"x": domain}, "samples", i)["x"] for i in range(count)]


def test_uniform_draws_are_uniform():
    values = samples(Uniform(-2.0, 3.0))
    assert stats.kstest(values, stats.uniform(-2.0, 5.0).cdf).pvalue > 1e-3


def test_log_uniform_draws_are_log_uniform():
    values = samples(LogUniform(1e-4, 1e-1))
    assert stats.kstest(values, stats.loguniform(1e-4, 1e-1).cdf).pvalue > 1e-3
    assert stats.kstest(values, stats.uniform(1e-4, 0.1).cdf).pvalue < 1e-9


def test_each_choice_is_as_likely():
    values = samples(Choice(("a", "b", "c")))
    counts = [values.count(value) for value in "abc"]
    assert sum(counts) == 2000
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.fixture(scope="module")
def configurations():
    space = search_space("lstm")
    return [draw(space, 5, "lstm", i) for i in range(400)]


@pytest.mark.parametrize("name", sorted(appendix("lstm")))
def test_every_dimension_of_a_configuration_is_drawn_from_its_range(name, configurations):
    values = [drawn[name] for drawn in configurations]
    domain = search_space("lstm")[name]
    if isinstance(domain, Choice):
        counts = [values.count(value) for value in domain.values]
        assert sum(counts) == 400
        assert stats.chisquare(counts).pvalue > 1e-3
        return
    uniform = isinstance(domain, Uniform)
    expected = (
        stats.uniform(domain.low, domain.high - domain.low)
        if uniform
        else stats.loguniform(domain.low, domain.high)
    )
    assert stats.kstest(values, expected.cdf).pvalue > 1e-3


def test_dimensions_are_drawn_independently(configurations):
    numeric = [
        [value for _, value in sorted(drawn.items()) if not isinstance(value, str)]
        for drawn in configurations
    ]
    correlation, _ = stats.spearmanr(np.array(numeric))
    off_diagonal = correlation[~np.eye(len(correlation), dtype=bool)]
    assert np.abs(off_diagonal).max() < 4.5 / math.sqrt(400)


def test_a_draw_is_a_pure_function_of_its_seed():
    space = search_space("gru")
    first = draw(space, 1, "cell", 2)
    np.random.default_rng(0).random(100)  # some other drawing in between
    assert draw(dict(reversed(space.items())), 1, "cell", 2) == first
    for other in ((2, "cell", 2), (1, "llec", 2), (1, "cell", 3)):
        assert draw(space, *other) != first


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_removing_a_dimension_leaves_the_draws_of_the_others(name):
    space = search_space(name)
    whole = draw(space, 7)
    assert list(whole) == sorted(space)
    for removed in space:
        rest = {key: domain for key, domain in space.items() if key != removed}
        expected = {key: value for key, value in whole.items() if key != removed}
        assert draw(rest, 7) == expected


def test_draws_are_plain_values():
    assert {type(value) for value in draw(search_space("lstm"), 0).values()} == {float, str}
