"""Records the figures of a benchmark with date, machine and versions."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "ray", "mlflow", "pyarrow")  # some may be missing: training needs only torch
RESULTS = Path(__file__).parent / "results"


def described(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of benchmark ``name`` with date, machine and versions."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": processor, "cores": os.cpu_count()},
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES if find_spec(package)},
        "figures": figures,
    }


def record(name: str, figures: dict[str, Any], write: bool) -> None:
    """Print the figures; if ``write``, also write them to ``results/<name>-<date>.json``."""
    content = described(name, figures)
    text = json.dumps(content, indent=2)
    print(text)
    if write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}-{content['date']}.json").write_text(text + "\n")
