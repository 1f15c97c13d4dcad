"""Compares the widths that are solved for budgets with closed-form parameter counts."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.bisecting import bisected
from tests.support.counting import network_parameters, width_multiple
from tests.support.networks import CASES, every_architecture
from trainables import sizing
from trainables.architectures import ARCHITECTURES, Impossible, Network, build
from trainables.architectures.vanilla import RNN
from trainables.sizing import Size, count, solve

# Every architecture without options, then with those of its variants, at depths that exist.
cases = [(name, {}) for name in ARCHITECTURES] + [case for case in CASES if case[1]]
shapes = st.tuples(st.sampled_from(cases), st.integers(1, 8)).filter(
    lambda shape: shape[1] >= ARCHITECTURES[shape[0][0]].minimal_depth
)
inputs_and_outputs = {"inputs": st.integers(1, 300), "outputs": st.integers(1, 100)}
# The logarithm of a budget is uniform: small budgets are as frequent as large ones.
budgets = st.floats(math.log(200), math.log(5e6)).map(lambda log: round(math.exp(log)))


def largest_width(name, options, depth, inputs, outputs, budget, multiple):
    """Return the largest width within the budget by trying all of them, 0 if none fits.

    A network has at least hidden^2 parameters.
    """
    widths = range(multiple, math.isqrt(budget) + 1, multiple)
    fit = [
        w for w in widths if network_parameters(name, w, depth, inputs, outputs, options) <= budget
    ]
    return max(fit, default=0)


def check(name, options, depth, inputs, outputs, budget):
    arguments = {"inputs": inputs, "outputs": outputs, "depth": depth, "options": options}
    multiple = width_multiple(options)
    expected = largest_width(name, options, depth, inputs, outputs, budget, multiple)
    if not expected:
        smallest = min(
            network_parameters(name, width, depth, inputs, outputs, options)
            for width in range(multiple, 50, multiple)
        )
        with pytest.raises(Impossible) as error:
            solve(name, budget=budget, **arguments)
        assert str(error.value) == (
            f"a budget of {budget:,} is too small for {'2 units' if multiple == 2 else 'one unit'}:"
            f" the smallest that would do is {smallest:,}"
        )
        assert solve(name, budget=smallest, **arguments) == Size(
            hidden=multiple, parameters=smallest, unrounded=multiple
        )
        return
    size = solve(name, budget=budget, **arguments)
    assert size.hidden == expected
    assert size.unrounded == largest_width(name, options, depth, inputs, outputs, budget, 1)
    assert size.parameters == count(name, hidden=size.hidden, **arguments) <= budget
    assert count(name, hidden=size.hidden + multiple, **arguments) > budget


@settings(max_examples=300, deadline=None)
@given(shape=shapes, budget=budgets, **inputs_and_outputs)
def test_the_width_is_the_largest_that_fits_the_budget(shape, budget, inputs, outputs):
    (name, options), depth = shape
    check(name, options, depth, inputs, outputs, budget)


@pytest.mark.parametrize("budget", [200, 30_000, 5_000_000])
@pytest.mark.parametrize("depth", [1, 2, 8])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_gets_the_largest_width_at_every_depth(name, depth, budget):
    check(name, {}, max(depth, ARCHITECTURES[name].minimal_depth), 28, 10, budget)


@every_architecture
@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize(("inputs", "hidden"), [(5, 8), (8, 8)])
def test_count_is_the_number_of_parameters_of_the_whole_network(
    name, options, depth, inputs, hidden
):
    """This holds although not all layers are built to count them."""
    depth = max(depth, ARCHITECTURES[name].minimal_depth)
    arguments = {"inputs": inputs, "outputs": 3, "hidden": hidden, "depth": depth}
    network = build(name, options=options, device=torch.device("meta"), **arguments)
    assert count(name, options=options, **arguments) == network.parameter_count()
    assert network.parameter_count() == network_parameters(name, hidden, depth, inputs, 3, options)


@pytest.mark.parametrize("below", [0, 1])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_exact_budget_gives_its_width_and_one_less_the_next_smaller_width(name, below):
    exact = network_parameters(name, 9, 2, 5, 3)
    size = solve(name, inputs=5, outputs=3, depth=2, options={}, budget=exact - below)
    assert size.hidden == 9 - below
    assert size.parameters == network_parameters(name, 9 - below, 2, 5, 3)


@settings(max_examples=120, deadline=None)
@given(
    shape=st.tuples(st.sampled_from(CASES), st.integers(1, 20)),
    log=st.floats(0, 10),
    **inputs_and_outputs,
)
@example(shape=(("s4d", {}), 2), log=math.log10(300_000), inputs=256, outputs=5)
def test_the_width_is_the_one_that_bisection_finds(shape, log, inputs, outputs):
    (name, options), depth = shape
    arguments = {"inputs": inputs, "outputs": outputs, "depth": depth, "options": options}
    arguments["budget"] = round(10**log)
    try:
        found = solve(name, **arguments)
    except Impossible:
        found = None
    assert found == bisected(name, **arguments)


class Stepped(RNN):
    """Counts parameters that are no polynomial in the width: rows come by the dozen."""

    def __init__(self, lanes, inputs, hidden, options, **factory):
        super().__init__(lanes, inputs, hidden, options, **factory)
        self.rows = nn.Parameter(torch.empty(lanes, 7 * math.ceil(hidden / 12) ** 4, **factory))


@settings(max_examples=50, deadline=None)
@given(log=st.floats(2, 9), depth=st.integers(1, 4))
def test_a_count_that_is_no_polynomial_gets_the_width_that_bisection_finds(log, depth):
    arguments = {"inputs": 3, "outputs": 2, "depth": depth, "options": {}, "budget": round(10**log)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "stepped", Stepped)
        assert solve("stepped", **arguments) == bisected("stepped", **arguments)


def test_cells_that_differ_in_depth_and_budget_share_the_networks_that_are_counted(monkeypatch):
    built = []
    make = Network.__init__

    def counted(self, *positional, **arguments):
        built.append(arguments["hidden"])
        make(self, *positional, **arguments)

    monkeypatch.setattr(Network, "__init__", counted)
    for name, options in CASES[::6]:
        sizing._counted.cache_clear()
        built.clear()
        depths = [depth for depth in (2, 3, 5, 9) if depth >= ARCHITECTURES[name].minimal_depth]
        for depth, budget in itertools.product(depths, range(20_000, 1_000_000, 100_000)):
            solve(name, inputs=5, outputs=3, depth=depth, options=options, budget=budget)
        cells = 10 * len(depths)
        # Ten powers of two, then two or three widths for each cell; bisection takes about twenty.
        assert len(built) <= 12 + 3.2 * cells, name


@pytest.mark.parametrize("budget", [200, 10_000, 5_000_000, 10**10])
@pytest.mark.parametrize("depth", [2, 8])
@every_architecture
def test_solve_builds_few_networks_of_two_layers(monkeypatch, name, options, depth, budget):
    """The number of networks grows with the logarithm of the width; none is deeper than two."""
    sizing._counted.cache_clear()
    built = []
    make = Network.__init__

    def counted(self, *positional, **arguments):
        built.append((arguments["depth"], str(arguments["device"])))
        make(self, *positional, **arguments)

    monkeypatch.setattr(Network, "__init__", counted)
    arguments = {"inputs": 4, "outputs": 3, "depth": depth, "options": options}
    try:
        width = solve(name, budget=budget, **arguments).hidden
    except Impossible:
        width = 1
    assert 0 < len(built) <= 2 * math.log2(width) + 4
    assert set(built) == {(2, "meta")}


@pytest.mark.parametrize(
    ("name", "options"), [("intersection", {}), ("s4d", {}), ("s4d", {"state_size": 2})]
)
def test_a_network_as_wide_as_its_input_needs_no_projection(name, options):
    # A few units fewer need more parameters: the count does not only grow with the width.
    budget = network_parameters(name, 300, 2, 300, 100, options)
    assert network_parameters(name, 295, 2, 300, 100, options) > budget
    size = solve(name, inputs=300, outputs=100, depth=2, options=options, budget=budget)
    assert size == Size(hidden=300, parameters=budget, unrounded=300)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(["intersection", "s4d"]),
    inputs=st.integers(1, 80),
    depth=st.integers(2, 4),
    over=st.integers(-500, 8000),
)
def test_the_width_is_the_largest_also_where_the_projection_vanishes(name, inputs, depth, over):
    budget = max(1000, network_parameters(name, inputs, depth, inputs, 2) + over)
    check(name, {}, depth, inputs, 2, budget)


@settings(max_examples=100, deadline=None)
@given(shape=shapes, **inputs_and_outputs)
def test_too_small_a_budget_names_the_smallest_that_would_do(shape, inputs, outputs):
    (name, options), depth = shape
    units = width_multiple(options)
    smallest = network_parameters(name, units, depth, inputs, outputs, options)
    arguments = {"inputs": inputs, "outputs": outputs, "depth": depth, "options": options}
    with pytest.raises(Impossible) as error:
        solve(name, budget=smallest - 1, **arguments)
    named = int(re.search(r"would do is ([\d,]+)$", str(error.value))[1].replace(",", ""))
    assert named == smallest
    assert solve(name, budget=named, **arguments) == Size(
        hidden=units, parameters=smallest, unrounded=units
    )


def test_rotations_take_the_largest_even_width():
    arguments = {"inputs": 1, "outputs": 10, "depth": 1}
    for width, expected in ((103, 102), (104, 104), (105, 104)):
        budget = network_parameters("wcrnn", width, 1, 1, 10)
        for residual in ("rotational", "informed"):
            size = solve("wcrnn", options={"residual": residual}, budget=budget, **arguments)
            parameters = network_parameters("wcrnn", expected, 1, 1, 10)
            assert size == Size(hidden=expected, parameters=parameters, unrounded=width)
        scaled = solve("wcrnn", options={}, budget=budget, **arguments)
        assert scaled == Size(hidden=width, parameters=budget, unrounded=width)


def test_solve_refuses_an_impossible_depth():
    arguments = {"inputs": 3, "outputs": 1, "options": {}, "budget": 10**6}
    with pytest.raises(Impossible, match="depth 1"):
        solve("intersection", depth=1, **arguments)
    with pytest.raises(Impossible, match="rnn does not exist at depth 0"):
        solve("rnn", depth=0, **arguments)


def test_options_do_not_change_the_size_of_a_residual_network():
    arguments = {"inputs": 1, "outputs": 10, "depth": 1, "budget": 12_000}
    sizes = {
        solve("wcrnn", options={"residual": residual}, **arguments)
        for residual in ("scaled", "heterogeneous", "orthogonal")
    }
    # n (n + 1 + 1 + 1 + 10) + 10 is 11,958 at 103 and 12,178 at 104 units
    assert sizes == {Size(hidden=103, parameters=103 * 116 + 10, unrounded=103)}
