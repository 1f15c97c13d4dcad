"""Capacity gives out as many trials as fit on the hosts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster import capacity as capacity_module
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.cluster import Host
from orchestrator.errors import BadInput
from orchestrator.plan.resources import TrialResources

GB = 10**9


def need(cpus=1.0, gpus=0.0, memory=GB):
    return TrialResources(cpus, gpus, memory)


def host(cpus=2.0, gpus=0.0, memory=64 * GB, name="10.0.0.1"):
    return Host(name, {"CPU": cpus, "GPU": gpus, "memory": memory})


def filled(hosts, asked):
    """Return how many trials with these resources fit on the hosts."""
    room, count = Capacity(lambda: hosts), 0
    while room.take(f"{count}", asked):
        count += 1
    return count


@pytest.mark.parametrize(
    ("cpus", "gpus", "memory", "cores", "cards", "gigabytes", "slots"),
    [
        (1, 0, 1, 2, 0, 64, 2),
        (2, 0, 1, 3, 0, 64, 1),
        (0.5, 0, 1, 2, 0, 64, 4),
        (0.1, 0, 1, 1, 0, 64, 10),  # 1 // 0.1 is 9
        (1, 0.25, 1, 16, 1, 64, 4),
        (1, 1, 1, 2, 8, 64, 2),
        (1, 0, 8, 16, 0, 30, 3),
    ],
)
def test_the_scarcest_resource_limits_the_number_of_trials(
    cpus, gpus, memory, cores, cards, gigabytes, slots
):
    asked = need(cpus, gpus, memory * GB)
    assert filled([host(cores, cards, gigabytes * GB)], asked) == slots


def test_a_trial_lies_on_one_host_not_across_two():
    assert filled([host(3), host(3)], need(2)) == 2


fractions = st.sampled_from([0.125, 0.25, 0.5, 1.0, 2.0, 3.0])
needs_drawn = st.builds(
    need, fractions, st.sampled_from([0.0, 0.125, 0.5, 1.0, 2.0]), st.integers(1, 8 * GB)
)
hosts_drawn = st.lists(
    st.builds(host, st.integers(0, 8), st.integers(0, 4), st.integers(GB, 16 * GB)), max_size=5
)


@given(hosts_drawn, st.lists(st.tuples(needs_drawn, st.booleans()), max_size=60))
def test_the_hosts_are_never_overfull_and_take_any_trial_that_fits_while_empty(hosts, wishes):
    room, given_out = Capacity(lambda: hosts), {}
    for number, (asked, ends) in enumerate(wishes):
        if room.take(f"{number}", asked):
            given_out[f"{number}"] = asked
        elif not given_out:
            assert not any(candidate.holds(asked) for candidate in hosts)
        for kind in ("CPU", "GPU", "memory"):
            used = sum(taken.as_ray().get(kind, 0) for taken in given_out.values())
            assert used <= sum(candidate.resources[kind] for candidate in hosts) + 1e-6
        if ends and given_out:
            name = next(iter(given_out))
            room.give_back(name)
            del given_out[name]


def test_hosts_that_join_are_filled_and_those_that_go_are_not(monkeypatch):
    monkeypatch.setattr(capacity_module, "LOOK_SECONDS", 0.0)
    hosts = [host(1, name="a")]
    room = Capacity(lambda: list(hosts))
    assert room.take("first", need())
    assert not room.take("second", need())
    assert room.is_full([need()])
    hosts.append(host(2, name="b"))
    assert room.take("second", need())
    assert room.take("third", need())
    del hosts[1]  # its trials are moved by Tune; nothing is given out until they have ended
    assert not room.take("fourth", need())
    room.give_back("second")
    room.give_back("third")
    assert not room.take("fourth", need())
    room.give_back("first")
    assert room.take("fourth", need())


@pytest.mark.parametrize(
    ("hosts", "asked", "sentence"),
    [
        ([host(2)], need(gpus=1), "gpus: 1, but this machine has 0; lower resources.gpus"),
        ([host(2), host(4, 1)], need(gpus=2), "10.0.0.1 (cpus: 4, gpus: 1, memory: 64); lower"),
        ([host(2), host(4, 1)], need(cpus=8), "asks for cpus: 8, but no host has that; there are"),
        ([host(2), host(4, 1)], need(memory=65 * GB), "lower resources.memory"),
        # Each resource exists, but no host has both.
        ([host(8), host(1, 1)], need(4, 1), "asks for cpus: 4, gpus: 1, memory: 1, but no host"),
    ],
)
def test_resources_that_no_host_has_are_refused_with_those_of_the_hosts(hosts, asked, sentence):
    with pytest.raises(BadInput) as caught:
        Capacity(lambda: hosts).check([need(), asked])
    assert sentence in str(caught.value)
