"""Draws random changes of sweep files, for property tests."""

import copy
from collections.abc import Iterator
from datetime import date
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.support.paths import QUICKSTART

QUICKSTART_DATA = yaml.safe_load(QUICKSTART.read_text(encoding="utf-8"))


LISTED = [{"optimizer": "adam", "learning_rate": 1e-3}, {"h_square": "normal"}, {"l2": 0}]


LIST = QUICKSTART_DATA | {"search": {"method": "list", "configurations": LISTED}}


WORDS = ["name", "options", "gru", "wcrnn", "digits", "low", "high", "adam", "none", "optimizer"]
WORDS += ["method", "gp", "list", "configurations", "samples"]
WORDS += ["h_square", "identity", "learning_rate", "grace", "scaled", "length", "residual", "alpha"]


words = st.sampled_from(WORDS) | st.text(max_size=8)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 400)
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | words
    | st.dates(date(1900, 1, 1))
    | st.binary(max_size=4)
)


values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def like(value: object) -> st.SearchStrategy[Any]:
    """Return a strategy of values that are likely to be valid in the place of ``value``."""
    kinds: dict[type, st.SearchStrategy[Any]] = {
        int: st.integers(1, 400),
        float: st.floats(1e-6, 2),
        str: st.sampled_from(WORDS),
    }
    return kinds.get(type(value), st.just(value))


def places(data: object, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value inside of nested dictionaries and lists.

    Args:
        data: the dictionary or list; any other value has nothing inside.
        place: place of ``data``: the keys and indices that lead to it.
    """
    items: list[tuple[Any, Any]]
    if isinstance(data, dict):
        items = list(data.items())
    else:
        items = list(enumerate(data)) if isinstance(data, list) else []
    for key, value in items:
        yield (*place, key)
        yield from places(value, (*place, key))


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Draw the data of the quickstart's file or of one with a list, after one to three changes."""
    data = copy.deepcopy(draw(st.sampled_from([QUICKSTART_DATA, LIST])))
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(list(places(data))))
        inside = data
        for key in above:
            inside = inside[key]
        change = draw(st.sampled_from(["like", "like", "replace", "remove", "add", "rename"]))
        if change in ("like", "replace"):
            inside[last] = draw(values if change == "replace" else like(inside[last]))
        elif change == "remove" and len(data) > 1:
            del inside[last]
        elif isinstance(inside, list):
            inside.append(draw(values))
        else:
            inside[draw(words)] = draw(values) if change == "add" else inside.pop(last)
    return data
