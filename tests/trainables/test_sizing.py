"""Widths from budgets against closed-form counts."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainables.architectures.test_counts import network_parameters
from trainables.architectures import ARCHITECTURES, Impossible
from trainables.sizing import Size, count, solve

shapes = st.tuples(st.sampled_from(sorted(ARCHITECTURES)), st.integers(1, 8)).filter(
    lambda shape: shape[1] >= ARCHITECTURES[shape[0]].minimal_depth
)
inputs_and_outputs = {"inputs": st.integers(1, 300), "outputs": st.integers(1, 100)}


def largest_width(name, depth, inputs, outputs, budget):
    """By trying every width there is; every architecture has at least hidden^2 parameters."""
    return max(
        width
        for width in range(1, math.isqrt(budget) + 1)
        if network_parameters(name, width, depth, inputs, outputs) <= budget
    )


@settings(max_examples=120, deadline=None)
@given(shape=shapes, budget=st.integers(10_000, 2_000_000), **inputs_and_outputs)
def test_the_width_is_the_largest_that_fits(shape, budget, inputs, outputs):
    name, depth = shape
    size = solve(name, inputs=inputs, outputs=outputs, depth=depth, options={}, budget=budget)
    assert size.hidden == largest_width(name, depth, inputs, outputs, budget)
    assert size.parameters == network_parameters(name, size.hidden, depth, inputs, outputs)
    assert size.parameters <= budget
    one_more = count(
        name, inputs=inputs, outputs=outputs, hidden=size.hidden + 1, depth=depth, options={}
    )
    assert one_more > budget


@pytest.mark.parametrize("below", [0, 1])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_budget_is_met_exactly_or_not_at_all(name, below):
    exact = network_parameters(name, 9, 2, 5, 3)
    size = solve(name, inputs=5, outputs=3, depth=2, options={}, budget=exact - below)
    assert size.hidden == 9 - below
    assert size.parameters == network_parameters(name, 9 - below, 2, 5, 3)


def test_an_intersection_network_as_wide_as_its_input_needs_no_projection():
    # A few units fewer need more parameters: the count does not only grow with the width.
    budget = network_parameters("intersection", 300, 2, 300, 100)
    assert network_parameters("intersection", 295, 2, 300, 100) > budget
    size = solve("intersection", inputs=300, outputs=100, depth=2, options={}, budget=budget)
    assert size == Size(hidden=300, parameters=budget)


@settings(max_examples=60, deadline=None)
@given(inputs=st.integers(3, 80), depth=st.integers(2, 4), over=st.integers(-500, 8000))
def test_the_width_is_the_largest_also_where_the_projection_vanishes(inputs, depth, over):
    budget = max(1000, network_parameters("intersection", inputs, depth, inputs, 2) + over)
    size = solve("intersection", inputs=inputs, outputs=2, depth=depth, options={}, budget=budget)
    assert size.hidden == largest_width("intersection", depth, inputs, 2, budget)


@settings(max_examples=50, deadline=None)
@given(shape=shapes, **inputs_and_outputs)
def test_too_small_a_budget_names_the_smallest_that_would_do(shape, inputs, outputs):
    name, depth = shape
    smallest = network_parameters(name, 1, depth, inputs, outputs)
    arguments = {"inputs": inputs, "outputs": outputs, "depth": depth, "options": {}}
    with pytest.raises(Impossible) as error:
        solve(name, budget=smallest - 1, **arguments)
    named = int(re.search(r"would do is ([\d,]+)$", str(error.value))[1].replace(",", ""))
    assert named == smallest
    assert solve(name, budget=named, **arguments) == Size(hidden=1, parameters=smallest)


def test_no_width_makes_an_impossible_depth_possible():
    with pytest.raises(Impossible, match="depth 1"):
        solve("intersection", inputs=3, outputs=1, depth=1, options={}, budget=10**6)


def test_options_do_not_change_the_size_of_a_residual_network():
    arguments = {"inputs": 1, "outputs": 10, "depth": 1, "budget": 12_000}
    sizes = {
        solve("wcrnn", options={"residual": residual}, **arguments)
        for residual in ("scaled", "heterogeneous")
    }
    # n (n + 1 + 1 + 1 + 10) + 10 is 11,958 at 103 and 12,178 at 104 units
    assert sizes == {Size(hidden=103, parameters=103 * 116 + 10)}
