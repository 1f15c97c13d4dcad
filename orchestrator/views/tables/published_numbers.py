"""Reads the numbers of the papers, which ship with the package."""

from functools import cache
from importlib.resources import files

import pandas as pd


@cache
def published(name: str) -> pd.DataFrame:
    """Return a table of the papers' numbers; callers must not change it.

    Args:
        name: name of a file in ``published/``, without its suffix.
    """
    with (files(__package__) / "published" / f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)
