"""Measures seconds and memory of tables and report of a million trials, and of compaction; no peer.

    python benchmarks/tables.py [--trials 1000000] [--reports 10] [--files 10000] [--record]

Writes a ledger of random search over 216 cells into a temporary folder (about 3 GB), with
a file for each cell and 50,000 rows; the figure is rows per second. Then the following are
measured, each in a process of its own: all tables with their files; one table of one cell; the
report; and the report of a ledger of the quickstart's size. Last, a dataset of ``--files`` files
with one row each is compacted; duckdb checks that it reads the same before and after.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from recording import record

from orchestrator.ledger import LedgerWriter
from orchestrator.ledger import writer as writing
from orchestrator.ledger.parts import write_part
from orchestrator.ledger.schema import DATASETS
from orchestrator.ledger.writer import NOBODY
from orchestrator.paths import SweepPaths
from orchestrator.plan.cells import Cell
from orchestrator.plan.manifest import write_manifest
from orchestrator.plan.plan import Plan, make_plan, trial_id
from orchestrator.spec.sweep import SweepSpec, load
from orchestrator.views.mlflow.store import prepare_store

SWEEP = {
    "name": "million",
    "seed": 1,
    "architectures": [
        *("rnn", "irnn", "ugrnn", "gru", "lstm", "second_order"),
        {"name": "wcrnn", "options": {"residual": "scaled"}},
        {"name": "wcrnn", "options": {"residual": "heterogeneous"}},
    ],
    "depths": [1, 2, 4],
    "tasks": ["perceptron_capacity", "memory", "parentheses"],
    "budgets": [20_000, 50_000, 200_000],
    "scheduler": "none",
    "replicates": 2,
}
ROWS = 50_000  # largest number of rows of a file
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # time of every event


def planned(trials: int, results: Path, **changes: Any) -> Plan:
    """Return the plan of a sweep with at least ``trials`` trials.

    Args:
        trials: least number of trials.
        results: results folder.
        changes: keys of the sweep file that are added to those of ``SWEEP``.
    """
    sweep = SWEEP | changes
    spec = SweepSpec.model_validate({**sweep, "search": {"samples": 1}})
    cells = len(make_plan(spec, results).cells)
    search = {"samples": -(-trials // cells)}
    return make_plan(SweepSpec.model_validate({**sweep, "search": search}), results)


def constant(value: Any, rows: int, kind: pa.DataType) -> pa.Array:
    """Return a column that repeats a value."""
    return pa.repeat(pa.scalar(value, kind), rows)


def lanes(values: np.ndarray) -> pa.Array:
    """Return a column of pairs: two lanes a little below and above ``values [rows]``."""
    pairs = np.stack([values * 0.99, values * 1.01], axis=1).ravel()
    offsets = pa.array(np.arange(0, 2 * len(values) + 1, 2), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(pairs, from_pandas=True))


def rows_of(
    plan: Plan, cell: Cell, chance: np.random.Generator, reports: int, sequence: int
) -> dict[str, pa.Table]:
    """Return the rows of a cell's trials and results, by dataset.

    A tenth of the trials is infeasible. The losses of the others are log-normal.

    Args:
        plan: plan of the sweep.
        cell: the cell.
        chance: generator of the random numbers.
        reports: number of reports of a trial.
        sequence: sequence number of the first row.
    """
    count = plan.spec.search.samples
    infeasible = chance.random(count) < 0.1
    loss = np.where(infeasible, np.nan, np.exp(chance.normal(-1, 1, count)))
    metric = np.clip(1 - loss / 5, 0, 1)
    steps = cell.training.steps
    names = np.array([trial_id(cell.id, index) for index in range(count)])
    bits = cell.task.name == "perceptron_capacity"
    further = np.array(
        [
            json.dumps({"bits_per_parameter": 5 * m, "samples": 4000.0}) if bits else None
            for m in metric
        ],
        dtype=object,
    )

    def measured(repeat: int, share: np.ndarray, step: np.ndarray) -> dict[str, pa.Array]:
        losses, metrics = np.repeat(loss, repeat) * (2 - share), np.repeat(metric, repeat) * share
        infeasible_at = np.repeat(np.where(infeasible, 3.0, np.nan), 2 * repeat)
        offsets = pa.array(np.arange(0, 2 * count * repeat + 1, 2), pa.int32())
        lane_columns = {"losses": lanes(losses), "metrics": lanes(metrics)}
        return {
            "step": pa.array(step, pa.int64()),
            "objective": pa.array(losses, from_pandas=True),
            "training_loss": pa.array(losses, from_pandas=True),
            **{
                f"{s}_loss": pa.array(losses, from_pandas=True)
                for s in ("validation", "evaluation")
            },
            **{
                f"{s}_metric": pa.array(metrics, from_pandas=True)
                for s in ("validation", "evaluation")
            },
            "further": pa.array(np.repeat(further, repeat), pa.string()),
            **{
                f"lane_{s}_{quantity}": column
                for s in ("validation", "evaluation")
                for quantity, column in lane_columns.items()
            },
            "lane_infeasible_at": pa.ListArray.from_arrays(
                offsets, pa.array(infeasible_at, from_pandas=True).cast(pa.int64())
            ),
        }

    configuration = [
        json.dumps({"learning_rate": float(value), "samples_per_parameter": 1.0})
        for value in np.exp(chance.normal(-6, 1, count))
    ]
    end = np.where(infeasible, 3, steps)
    trials = {
        **measured(1, np.ones(count), end),
        "trial": pa.array(names),
        "sequence": pa.array(np.arange(sequence, sequence + count)),
        "index": pa.array(np.arange(count)),
        "configuration": pa.array(configuration),
        "outcome": pa.array(np.where(infeasible, "infeasible", "completed")),
        "seconds": pa.array(chance.random(count) * 60),
        "network_seed": pa.array(chance.integers(0, 2**60, count)),
    }
    constants: dict[str, Any] = {
        "sweep": plan.spec.name,
        "task": cell.task.label,
        "architecture": cell.architecture.label,
        "depth": cell.depth,
        "budget": cell.budget,
        "hidden": cell.hidden,
        "parameters": cell.parameters,
        "metric": "accuracy",
        "baseline_loss": 1.0,
        "baseline_metric": 0.1,
        "error": None,
        "data_seed": 7,
        "versions": "{}",
        "host": "here",
        "ended": NOON,
        "reported": NOON,
    }
    report_number = np.tile(np.arange(1, reports + 1), count)
    results = {
        **measured(reports, report_number / reports, report_number * steps // reports),
        "trial": pa.array(np.repeat(names, reports)),
        "sequence": pa.array(np.arange(sequence + count, sequence + count * (reports + 1))),
        "seconds": pa.array(np.ones(count * reports)),
    }
    by_dataset = {}
    for dataset, columns in (("trials", trials), ("results", results)):
        rows = count * (1 if dataset == "trials" else reports)
        schema = DATASETS[dataset]  # type: ignore[index]
        arrays = [
            columns[field.name].cast(field.type)
            if field.name in columns
            else constant(constants[field.name], rows, field.type)
            for field in schema
        ]
        by_dataset[dataset] = pa.Table.from_arrays(arrays, schema=schema)
    return by_dataset


def write_ledger(plan: Plan, paths: SweepPaths, reports: int) -> dict[str, float]:
    """Write the ledger of a plan; return its rows per second and its size."""
    ledger = paths.ledger
    assert isinstance(ledger, Path)
    chance, sequence, begin = np.random.default_rng(1), 0, time.perf_counter()
    for cell in plan.cells:
        for dataset, table in rows_of(plan, cell, chance, reports, sequence).items():
            folder = ledger / dataset / f"cell={cell.id}"
            folder.mkdir(parents=True)
            first = int(table["sequence"][0].as_py())
            for start in range(0, len(table), ROWS):
                piece = table.slice(start, ROWS)
                last = first + start + len(piece) - 1
                write_part(folder, NOBODY, first + start, last, piece)
        sequence += plan.spec.search.samples * (reports + 1)
    seconds = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in ledger.rglob("*.parquet"))
    return {"rows_a_second": round(sequence / seconds), "gigabytes": round(size / 1e9, 2)}


ALL = """
from orchestrator.views.tables import Study, build
from orchestrator.views.tables.render import write
study = Study(SweepPaths(results, "million"))
write(build(study), out)
"""
ONE = """
from orchestrator.views.tables import Study
from orchestrator.views.tables.infeasible import infeasible_fractions
cell, begin = "parentheses_gru_d2_p50000", time.perf_counter()
study = Study(SweepPaths(results, "million"), ["cell=" + cell])
assert len(infeasible_fractions(study).tidy) == 1
out.write_text(str(time.perf_counter() - begin))
"""
REPORT = """
from orchestrator.views import report
from orchestrator.views.tables import Study, build
study = Study(SweepPaths(results, "million"))
report.write(study, build(study), out, None)
"""


def alone(code: str, results: Path, out: Path) -> dict[str, float]:
    """Run code in a process of its own; return its seconds and largest memory.

    Both include the start of the process and its imports.
    """
    start = "import sys, time\nfrom pathlib import Path\n"
    start += "from orchestrator.paths import SweepPaths\n"
    start += "results, out = Path(sys.argv[1]), Path(sys.argv[2])\n"
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", start + code, str(results), str(out)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"it ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": round(time.perf_counter() - begin, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "gigabytes": round(usage.ru_maxrss * 1024 / 1e9, 2),
    }


def quickstart(folder: Path) -> dict[str, float]:
    """Return the seconds of ``soundings report`` on a ledger of the quickstart's size.

    They include storing the report in MLflow.
    """
    file = Path(__file__).parents[1] / "sweeps" / "quickstart.yaml"
    plan = make_plan(load(file), folder)
    paths = SweepPaths(folder, plan.spec.name)
    paths.make_writable()
    write_manifest(plan, paths)
    write_ledger(plan, paths, 5)
    prepare_store(paths.mlflow_store)  # a run makes the store
    soundings = Path(sys.executable).with_name("soundings")
    command: list[str | Path] = [soundings, "report", paths.sweep, "--results", folder]
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"trials": plan.trial_count, "seconds": round(time.perf_counter() - begin, 1)}


def compaction(files: int) -> dict[str, float]:
    """Return the seconds of compacting ``files`` files of one row, and the files that remain."""
    with tempfile.TemporaryDirectory() as folder:
        ledger, schema = Path(folder), DATASETS["starts"]
        cell_folder = ledger / "starts" / "cell=a"
        cell_folder.mkdir(parents=True)
        for number in range(files):
            row = {"sweep": "s", "trial": f"t{number}", "sequence": number, "index": number}
            row |= {"configuration": "{}", "run": "r", "started": NOON}
            table = pa.Table.from_pylist([row], schema=schema)
            write_part(cell_folder, NOBODY, number, number, table)
        query = f"select count(*), sum(sequence) from read_parquet('{cell_folder}/*.parquet')"
        before = duckdb.execute(query).fetchall()
        begin = time.perf_counter()
        LedgerWriter(ledger, files).compact()
        seconds = time.perf_counter() - begin
        left = len(list(cell_folder.glob("*.parquet")))
        assert duckdb.execute(query).fetchall() == before == [(files, files * (files - 1) // 2)]
        assert left <= 1 + files * 4096 // writing.LARGEST_MERGED
    return {"files_before": files, "files_after": left, "seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--reports", type=int, default=10)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        plan = planned(args.trials, results)
        paths = SweepPaths(results, plan.spec.name)
        paths.make_writable()
        write_manifest(plan, paths)
        figures: dict[str, Any] = {"cells": len(plan.cells), "trials": plan.trial_count}
        figures["writing"] = write_ledger(plan, paths, args.reports)
        print(json.dumps(figures), flush=True)
        for name, code in (("all_tables", ALL), ("one_table_of_one_cell", ONE), ("report", REPORT)):
            figures[name] = alone(code, results, results / name)
            print(name, json.dumps(figures[name]), flush=True)
        figures["one_table_of_one_cell"]["seconds_without_imports"] = round(
            float((results / "one_table_of_one_cell").read_text()), 2
        )
        figures["page_megabytes"] = round(
            (results / "report" / "report.html").stat().st_size / 1e6, 1
        )
    with tempfile.TemporaryDirectory() as folder:
        figures["report_of_the_quickstart"] = quickstart(Path(folder))
    figures["compaction"] = compaction(args.files)
    figures["driver_gigabytes"] = round(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2
    )
    record("tables", figures, args.record)


if __name__ == "__main__":
    main()
