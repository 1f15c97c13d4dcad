"""Finds the strengths of a network's residual, and the cells that differ in one of them alone."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from trainables.architectures import check_options

STRENGTHS = ("alpha", "epsilon", "omega", "gamma")
RESIDUAL = ("residual", "form", "nonlinearity", *STRENGTHS)
_USED = {  # the residuals that use a strength; any residual uses those not listed
    "epsilon": ("heterogeneous", "informed"),
    "omega": ("rotational", "informed"),
}


def residual_columns(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the residual of an architecture and the strengths that it uses.

    Options that an architecture does not have are None, unused strengths are nan, and a range of a
    strength is its middle. ``others`` has the other options that tell weakly coupled networks
    apart.

    Args:
        architecture: name and options, as a manifest has them.
    """
    columns: dict[str, Any] = dict.fromkeys(RESIDUAL)
    columns |= dict.fromkeys(STRENGTHS, np.nan)
    columns["others"] = None
    if architecture["name"] == "elman":
        columns["residual"] = check_options("elman", architecture["options"]).residual
    if architecture["name"] != "wcrnn":
        return columns
    options = check_options("wcrnn", architecture["options"])
    for name in RESIDUAL:
        value = getattr(options, name)
        if options.residual in _USED.get(name, (options.residual,)):
            columns[name] = float(np.mean(value)) if name in STRENGTHS else value
    ranges = [name for name in ("omega", "gamma") if isinstance(getattr(options, name), tuple)]
    others = f"{options.act} {options.skip} {options.alpha_per} {' '.join(ranges)}".strip()
    return columns | {"others": others}


def varied(cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each strength with weakly coupled networks that differ in it alone, by its values.

    Args:
        cells: one or several rows for each cell, with its task, depth and budget and the columns of
            :func:`residual_columns`.
    """
    coupled = cells[cells["residual"].notna() & cells["alpha"].notna()]
    for strength in STRENGTHS:
        same = [*(name for name in RESIDUAL if name != strength), "task", "depth", "budget"]
        for _, group in coupled.dropna(subset=strength).groupby(
            [*same, "others"], dropna=False, sort=False
        ):
            if group[strength].nunique() > 1:
                yield strength, group.sort_values(strength, kind="stable")
