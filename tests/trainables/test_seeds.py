"""Tests that seeds are the same in every version and differ when any of their parts differs."""

import hashlib

from trainables.seeds import derive


def test_a_seed_is_the_top_of_the_sha256_of_its_parts():
    digest = hashlib.sha256(b'[3, "training", 1, 20]').hexdigest()
    assert derive(3, "training", 1, 20) == int(digest[:16], 16) // 2


def test_a_seed_is_the_same_in_every_version():
    # Resuming a sweep with another version depends on it.
    assert derive(3, "training", 1, 20) == 1412591580159762582


def test_seeds_are_63_bits():
    seeds = [derive(i) for i in range(2000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62


def test_seeds_differ_when_any_part_differs():
    parts = [(1, 2), (2, 1), (12,), ("1", 2), (1, "2"), ("1, 2",), (1, 2, ""), (), ("",)]
    assert len({derive(*values) for values in parts}) == len(parts)
    assert len({derive(a, b) for a in range(100) for b in range(100)}) == 10_000
