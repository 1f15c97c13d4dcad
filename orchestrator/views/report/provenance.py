"""Where the numbers come from: the sweep as recorded, versions, seeds, hosts and hours."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from orchestrator.views.study.study import Study
from orchestrator.views.study.sweeps import Sweep

CELLS_AT_ONCE = 20  # whose rows are in memory together
COLUMNS = ["versions", "host", "seconds", "ended"]
COMPUTED = ("cells", "impossible")  # of the definition: they follow from the rest


@dataclass(frozen=True)
class Provenance:
    """Of one sweep.

    Attributes:
        definition: the sweep file as its first run understood it, every default written out.
        versions: package, version and of how many trials.
        hosts: host, trials, hours.
    """

    sweep: str
    definition: str
    seeds: str
    first: str
    last: str
    hours: float
    versions: list[tuple[str, str, int]]
    hosts: list[tuple[str, int, float]]


def provenance(study: Study) -> list[Provenance]:
    """Of each sweep, from its whole cells: a trial that two sweeps share is of both."""
    return [_of(study, sweep) for sweep in study.sweeps]


def _of(study: Study, sweep: Sweep) -> Provenance:
    cells = [cell.id for cell in study.all_cells if cell.id in sweep.definition["cells"]]
    parts, ends = [], []
    for start in range(0, len(cells), CELLS_AT_ONCE):
        frame = sweep.ledger.trials(COLUMNS, cells=cells[start : start + CELLS_AT_ONCE])
        frame = frame.fillna({"versions": "{}", "host": "unknown", "seconds": 0.0})
        grouped = frame.groupby(["versions", "host"])["seconds"].agg(["size", "sum"])
        parts.append(grouped.reset_index())
        ends += [frame["ended"].min(), frame["ended"].max()]
    together = pd.concat(parts, ignore_index=True)
    ended = pd.Series(ends).dropna()
    definition = {k: v for k, v in sweep.definition.items() if k not in COMPUTED}
    hosts = together.groupby("host")[["size", "sum"]].sum()
    return Provenance(
        sweep=sweep.name,
        definition=yaml.safe_dump(definition, sort_keys=False, allow_unicode=True, width=100),
        seeds=_seeds(study, sweep),
        first=_moment(ended.min()) if len(ended) else "",
        last=_moment(ended.max()) if len(ended) else "",
        hours=float(together["sum"].sum()) / 3600,
        versions=_versions(together),
        hosts=[
            (str(host), int(row["size"]), float(row["sum"]) / 3600)
            for host, row in hosts.iterrows()
        ],
    )


def _versions(together: pd.DataFrame) -> list[tuple[str, str, int]]:
    counted: dict[tuple[str, str], int] = {}
    for recorded, trials in together.groupby("versions")["size"].sum().items():
        versions: dict[str, Any] = json.loads(str(recorded))
        for package, version in versions.items():
            key = (package, str(version))
            counted[key] = counted.get(key, 0) + int(trials)
    return [(*key, trials) for key, trials in sorted(counted.items())]


def _seeds(study: Study, sweep: Sweep) -> str:
    pool = study.repetitions if sweep.repeats else study.trials
    trials = pool[pool["sweep"] == sweep.name]
    networks, data = trials["network_seed"].nunique(), trials["data_seed"].nunique()
    return (
        f"seed of the sweep {sweep.definition['seed']}; from it follow {networks:,} seeds of "
        f"networks and {data:,} of data, which are in the ledger"
    )


def _moment(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
