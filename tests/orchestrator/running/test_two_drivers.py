"""Two drivers of one sweep, paused and cut off at every request, lose and double no report."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.two_drivers import STEPS, TRIALS, VERDICTS, Driver, World, simulated

EXPECTED = [
    (f"t{number}", step, number + step / 10)
    for number in range(TRIALS)
    for step in range(1, STEPS + 1)
]


def settle(world, *drivers):
    """Let all drivers and all late requests come to their end, and a last run do what is left.

    Then compare the ledger with that of an undisturbed run.
    """
    for driver in drivers:
        world.finish(driver)
    world.land()
    world.seconds += 1000.0
    last = Driver(world, "last")
    world.finish(last)
    assert not last.refused
    for driver in (*drivers, last):
        driver.join()
        if driver.failure is not None:
            raise driver.failure
    ledger = world.ledger()
    results = ledger.results()
    rows = zip(results["trial"], results["step"], results["objective"], strict=True)
    assert sorted(rows) == EXPECTED
    assert sorted(ledger.trials()["trial"]) == [f"t{number}" for number in range(TRIALS)]
    assert set(ledger.starts()["trial"]) == set(ledger.trials()["trial"])
    assert ledger.set_aside("results") == []


def check_acknowledged(world, *drivers):
    """No report that a driver was told is written is missing, at any moment."""
    results = world.ledger().results(["step"])
    read = set(zip(results["trial"], results["step"], strict=True))
    for driver in drivers:
        assert driver.acknowledged <= read


def requests_of_a_run():
    """Return the number of requests of an undisturbed run."""
    world, count = World(), 0
    with simulated(world):
        driver = Driver(world, "a")
        while world.step(driver):
            count += 1
        settle(world, driver)
    return count


@pytest.mark.slow
def test_a_pause_at_any_request_while_another_run_takes_over_loses_and_doubles_nothing():
    """Exhaustive: the driver is paused before each of its requests in turn."""
    count = requests_of_a_run()
    assert count > 40
    for pause in range(count):
        world = World()
        with simulated(world):
            paused = Driver(world, "paused")
            for _ in range(pause):
                world.step(paused)
            world.seconds += 100.0
            other = Driver(world, "other")
            world.finish(other)
            assert not other.refused
            check_acknowledged(world, paused, other)
            settle(world, paused, other)


@pytest.mark.slow
@pytest.mark.parametrize("verdict", VERDICTS[1:])
def test_a_request_that_fails_beside_another_run_loses_and_doubles_nothing(verdict):
    """Exhaustive: each request in turn fails, and the run is then paused for the next one."""
    for failing in range(0, requests_of_a_run(), 2):
        world = World()
        with simulated(world):
            paused = Driver(world, "paused")
            for _ in range(failing):
                world.step(paused)
            world.step(paused, verdict)
            world.seconds += 100.0
            other = Driver(world, "other")
            for _ in range(20):
                world.step(other)
            world.land()
            settle(world, paused, other)


ACTIONS = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 1), st.sampled_from([1, 3, 10, 30])),
    st.tuples(st.sampled_from(VERDICTS[1:]), st.integers(0, 1), st.just(1)),
    st.tuples(st.just("time"), st.just(0), st.sampled_from([2, 20, 50, 70, 300])),
    st.tuples(st.just("land"), st.just(0), st.just(0)),
    st.tuples(st.just("new"), st.integers(0, 1), st.just(0)),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_any_history_of_two_drivers_and_their_successors_loses_and_doubles_nothing(actions):
    world = World()
    with simulated(world):
        drivers = [Driver(world, "a"), Driver(world, "b")]
        everyone = list(drivers)
        for action, who, amount in actions:
            if action == "time":
                world.seconds += amount
            elif action == "land":
                world.land()
            elif action == "new":  # the process was killed, or started once more elsewhere
                drivers[who] = Driver(world, "next")
                everyone.append(drivers[who])
            else:
                for _ in range(amount):
                    world.step(drivers[who], "done" if action == "step" else action)
        check_acknowledged(world, *everyone)
        settle(world, *everyone)
