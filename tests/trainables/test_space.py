"""Compares search spaces with appendix A of the capacity paper and tests the draws from them."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.support.networks import CASES, every_architecture, network
from trainables.architectures import ARCHITECTURES, search_space
from trainables.space import Choice, LogUniform, Uniform, When, draw

LEARNING = {
    "optimizer": Choice(("sgd", "momentum", "rmsprop", "adam")),
    "learning_rate": LogUniform(1e-4, 1e-1),
    "learning_rate_decay": LogUniform(1e-3, 1.0),
    "momentum_logit": When(Uniform(1.0, 7.0), "optimizer", ("momentum", "rmsprop", "adam")),
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


def scale_of(square):
    """Return the domain of the scale of a square matrix; the identity has no scale."""
    return When(LogUniform(0.01, 2.0), square, ("orthogonal", "normal"))


def appendix(name):
    """Return the hyperparameters of an architecture as the paper lists them."""
    if name == "irnn":  # starts at the identity and zero biases with a ReLU: nothing else to tune
        return LEARNING | READOUT | BIASES | {"h_input_scale": LogUniform(0.001, 2.0)}
    kinds = ("orthogonal", "normal") if name == "rnn" else ("identity", "orthogonal", "normal")
    expected = LEARNING | READOUT | BIASES
    if name != "intersection":
        expected |= NONLINEARITY
    for gate in GATES[name]:
        expected |= {
            f"{gate}_square": Choice(kinds),
            f"{gate}_square_scale": scale_of(f"{gate}_square"),
            f"{gate}_input_scale": LogUniform(0.001, 2.0),
            f"{gate}_bias_scale": Uniform(-2.0, 2.0),
        }
    return expected | {bias: Uniform(0.0, 6.0) for bias in FORGET_BIASES[name]}


@pytest.mark.parametrize("name", ["rnn", "irnn", "ugrnn", "gru", "lstm", "intersection"])
def test_search_spaces_are_those_of_the_paper(name):
    assert search_space(name) == appendix(name)


@pytest.mark.parametrize(
    ("name", "dimensions"),
    [("irnn", 10), ("rnn", 14), ("ugrnn", 19), ("gru", 23), ("lstm", 27), ("intersection", 27)],
)
def test_an_architecture_of_the_paper_has_between_10_and_27_dimensions(name, dimensions):
    assert len(search_space(name)) == dimensions


# A square matrix has a kind and a scale, a layer of a perceptron also the scale of its bias.
SQUARE_KINDS = Choice(("identity", "orthogonal", "normal"))


def square(name):
    return {f"{name}_square": SQUARE_KINDS, f"{name}_square_scale": scale_of(f"{name}_square")}


def perceptron(name):
    return square(name) | {f"{name}_bias_scale": Uniform(-2.0, 2.0)}


def rectangular(*names):
    return {f"{name}_scale": LogUniform(0.001, 2.0) for name in names}


TUNED = LEARNING | READOUT | BIASES
VANILLA = TUNED | perceptron("h") | rectangular("h_input")
TRANSITION = VANILLA | NONLINEARITY
OTHERS = [
    ("linear_rnn", {}, VANILLA),
    (
        "ur_lstm",  # its forget and refine biases start as its paper says: no scale is searched
        {},
        TUNED
        | NONLINEARITY
        | square("forget")
        | square("refine")
        | perceptron("output")
        | perceptron("candidate")
        | rectangular("forget_input", "refine_input", "output_input", "candidate_input"),
    ),
    ("second_order", {}, VANILLA | rectangular("tensor")),
    ("second_order", {"gate": "identity"}, VANILLA | rectangular("tensor")),
    ("cprnn", {}, VANILLA | rectangular("state_factor", "input_factor", "output_factor")),
    ("mirnn", {}, VANILLA),
    ("mirnn", {"gate": "relu"}, VANILLA),
    ("deep_transition", {"transition_depth": 1}, TRANSITION),
    ("deep_transition_shortcut", {"transition_depth": 1}, TRANSITION),
    ("deep_transition", {}, TRANSITION | perceptron("transition")),
    ("deep_transition_skip", {}, TRANSITION | perceptron("transition")),
    ("deep_transition_shortcut", {}, TRANSITION | perceptron("transition") | square("shortcut")),
    (
        "deep_transition_skip",
        {"transition_depth": 1, "input_depth": 3, "output_depth": 2, "nonlinearity": "tanh"},
        VANILLA | perceptron("input_layer") | perceptron("readout_layer"),
    ),
    (
        "deep_transition_mlp",
        {"residual": "identity"},
        TRANSITION
        | perceptron("transition")
        | perceptron("input_layer")
        | perceptron("readout_layer"),
    ),
    (
        "deep_transition_mlp",
        {"transition_depth": 1, "input_depth": 1, "output_depth": 1},
        TRANSITION | perceptron("readout_layer") | {"input_layer_bias_scale": Uniform(-2.0, 2.0)},
    ),
    ("wcrnn", {"residual": "informed", "form": "A"}, LEARNING),
    ("elman", {"residual": "identity"}, LEARNING),
    ("s4d", {}, LEARNING),
]


@pytest.mark.parametrize(("name", "options", "expected"), OTHERS)
def test_spaces_beyond_the_paper_are_made_of_the_same_ranges(name, options, expected):
    assert search_space(name, options) == expected


@pytest.mark.parametrize(
    ("name", "dimensions"),
    [
        ("linear_rnn", 13),
        ("ur_lstm", 24),
        ("second_order", 14),
        ("cprnn", 16),
        ("mirnn", 13),
        ("deep_transition", 17),
        ("deep_transition_skip", 17),
        ("deep_transition_shortcut", 19),
        ("deep_transition_mlp", 23),
        ("wcrnn", 6),
        ("elman", 6),
        ("s4d", 6),
    ],
)
def test_an_architecture_beyond_the_paper_has_the_stated_number_of_dimensions(name, dimensions):
    assert len(search_space(name)) == dimensions


def test_every_architecture_has_its_search_space_stated_in_this_file():
    beyond = {name for name, _, _ in OTHERS}
    assert {"irnn", *GATES} | beyond == set(ARCHITECTURES)
    assert not {"irnn", *GATES} & beyond


@every_architecture
@pytest.mark.parametrize("extra", [{"act": "tanh"}, {"act": "relu", "skip": True}])
def test_stacking_options_do_not_change_the_search_space(name, options, extra):
    assert search_space(name, options | extra) == search_space(name, options)


@pytest.mark.parametrize(
    ("name", "options", "removed"),
    [
        *[
            (name, {"nonlinearity": s}, {"nonlinearity"})
            for name in ("rnn", "ugrnn", "gru", "lstm", "ur_lstm", "deep_transition")
            for s in ("tanh", "relu")
        ],
        *[
            (name, {"forget_bias": bias}, {"forget_bias"})
            for name in ("ugrnn", "gru", "lstm")
            for bias in (0, -1.5)
        ],
        ("gru", {"nonlinearity": "tanh", "forget_bias": 1.0}, {"nonlinearity", "forget_bias"}),
        ("gru", {"nonlinearity": "searched", "forget_bias": None}, set()),
    ],
)
def test_an_option_that_fixes_a_hyperparameter_removes_it_from_the_space(name, options, removed):
    space = search_space(name)
    assert removed <= set(space)
    expected = {key: domain for key, domain in space.items() if key not in removed}
    assert search_space(name, options) == expected
    # The draws of all other hyperparameters stay as they were.
    drawn = draw(space, 3)
    remaining = {key: value for key, value in drawn.items() if key not in removed}
    assert draw(search_space(name, options), 3) == remaining


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_network_accepts_configurations_of_its_space_and_needs_all_of_their_keys(name, options):
    space = search_space(name, options)
    for lane in range(4):
        drawn = draw(space, "needed", lane)
        network(name, options, 2, configurations=[drawn])
    own = [key for key in drawn if key not in LEARNING and key not in READOUT]
    for missing in own:
        incomplete = {key: value for key, value in drawn.items() if key != missing}
        if missing == "nonlinearity":  # without it, tanh is used
            continue
        with pytest.raises(KeyError, match=missing):
            network(name, options, 2, configurations=[incomplete])


def samples(domain, count=2000):
    return [draw({"x": domain}, "samples", i)["x"] for i in range(count)]


def test_uniform_draws_are_uniform():
    values = samples(Uniform(-2.0, 3.0))
    assert stats.kstest(values, stats.uniform(-2.0, 5.0).cdf).pvalue > 1e-3


def test_log_uniform_draws_are_log_uniform():
    values = samples(LogUniform(1e-4, 1e-1))
    assert stats.kstest(values, stats.loguniform(1e-4, 1e-1).cdf).pvalue > 1e-3
    assert stats.kstest(values, stats.uniform(1e-4, 0.1).cdf).pvalue < 1e-9


def test_all_values_of_a_choice_are_equally_likely():
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
    values = [drawn[name] for drawn in configurations if name in drawn]
    domain = search_space("lstm")[name]
    # A condition holds for two of three kinds of matrices, or three of four optimizers.
    if isinstance(domain, When):
        assert 230 < len(values) < 330
        domain = domain.domain
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
    names = [name for name, domain in search_space("lstm").items() if not isinstance(domain, When)]
    numeric = [
        [drawn[name] for name in names if not isinstance(drawn[name], str)]
        for drawn in configurations
    ]
    correlation, _ = stats.spearmanr(np.array(numeric))
    off_diagonal = correlation[~np.eye(len(correlation), dtype=bool)]
    assert np.abs(off_diagonal).max() < 4.5 / math.sqrt(400)


def test_a_draw_is_a_pure_function_of_its_seed():
    space = search_space("gru")
    first = draw(space, 1, "cell", 2)
    np.random.default_rng(0).random(100)  # draws of another generator in between change nothing
    assert draw(dict(reversed(space.items())), 1, "cell", 2) == first
    for other in ((2, "cell", 2), (1, "llec", 2), (1, "cell", 3)):
        assert draw(space, *other) != first


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_removing_a_dimension_leaves_the_draws_of_the_others_unchanged(name):
    space = search_space(name)
    drawn = draw(space, 7)
    conditions = {domain.on for domain in space.values() if isinstance(domain, When)}
    for removed in set(space) - conditions:
        remaining = {key: domain for key, domain in space.items() if key != removed}
        expected = {key: value for key, value in drawn.items() if key != removed}
        assert draw(remaining, 7) == expected


def test_drawn_values_are_plain_floats_and_texts():
    assert {type(value) for value in draw(search_space("lstm"), 0).values()} == {float, str}
