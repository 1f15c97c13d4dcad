"""Tables against what SQL finds."""

import math

import pytest


def ordered(frame, columns, key=4):
    """The frame's rows in the order of the first ``key`` columns, None for what is not there."""
    rows = frame.sort_values(columns[:key])[columns].to_dict("records")
    return [
        tuple(None if isinstance(v, float) and math.isnan(v) else v for v in row.values())
        for row in rows
    ]


def assert_same(found, wanted):
    """Equal rows; real numbers up to the rounding of another order of additions."""
    assert len(found) == len(wanted) > 0
    for ours, theirs in zip(found, wanted, strict=True):
        for our, their in zip(ours, theirs, strict=True):
            if isinstance(their, float) and our is not None:
                assert our == pytest.approx(their, rel=1e-12), (ours, theirs)
            else:
                assert our == their, (ours, theirs)
