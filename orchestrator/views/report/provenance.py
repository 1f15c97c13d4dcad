"""Collects where a report's numbers come from: manifest, versions, seeds, hosts and hours."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from orchestrator.paths import IDENTITY
from orchestrator.views.study.study import Study
from orchestrator.views.study.sweeps import Sweep

CELLS_AT_ONCE = 20  # cells whose rows are in memory together
COLUMNS = ["versions", "host", "seconds", "ended"]
OF_NO_FILE = ("cells", "impossible", IDENTITY)  # keys of the manifest that a sweep file has not


@dataclass(frozen=True)
class Provenance:
    """The provenance of one sweep says where its numbers come from.

    Attributes:
        sweep: name of the sweep.
        manifest: sweep file as its first run recorded it, as YAML with every default.
        seeds: sentence on the seeds of the sweep, of its networks and of its data.
        first: time at which the first trial ended, or empty.
        last: time at which the last trial ended, or empty.
        hours: hours of training of all trials together.
        versions: (package, version, number of trials that ran with it).
        hosts: (host, number of trials, hours of training).
    """

    sweep: str
    manifest: str
    seeds: str
    first: str
    last: str
    hours: float
    versions: list[tuple[str, str, int]]
    hosts: list[tuple[str, int, float]]


def provenance(study: Study) -> list[Provenance]:
    """Return the provenance of each sweep, from all trials of its cells.

    A trial that two sweeps share counts in both.
    """
    return [_provenance_of(study, sweep) for sweep in study.sweeps]


def _provenance_of(study: Study, sweep: Sweep) -> Provenance:
    cells = [cell.id for cell in study.all_cells if cell.id in sweep.manifest["cells"]]
    parts, ends = [], []
    for start in range(0, len(cells), CELLS_AT_ONCE):
        frame = sweep.ledger.trials(COLUMNS, cells=cells[start : start + CELLS_AT_ONCE])
        frame = frame.fillna({"versions": "{}", "host": "unknown", "seconds": 0.0})
        grouped = frame.groupby(["versions", "host"])["seconds"].agg(["size", "sum"])
        parts.append(grouped.reset_index())
        ends += [frame["ended"].min(), frame["ended"].max()]
    together = pd.concat(parts, ignore_index=True)
    ended = pd.Series(ends).dropna()
    manifest = {k: v for k, v in sweep.manifest.items() if k not in OF_NO_FILE}
    hosts = together.groupby("host")[["size", "sum"]].sum()
    return Provenance(
        sweep=sweep.name,
        manifest=yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=100),
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
        f"seed of the sweep {sweep.manifest['seed']}; from it follow {networks:,} seeds of "
        f"networks and {data:,} of data, which are in the ledger"
    )


def _moment(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
