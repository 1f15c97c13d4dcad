"""Planning a sweep file with random damage ends well or with sentences about the file.

``benchmarks/sweep_files.py`` does the same with many more files.
"""

import io
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.cli.options import plan_of
from orchestrator.cli.plan_table import print_plan
from orchestrator.errors import BadInput
from orchestrator.plan.cost import load_device
from tests.support.damaged_files import damaged
from tests.support.paths import QUICKSTART

TEXTS = [QUICKSTART.read_text(encoding="utf-8")]
DEVICE = load_device("xeon-thread")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 10**9), st.booleans())
def test_the_plan_of_a_damaged_file_is_printed_or_refused_in_lines_about_the_file(
    tmp_path, seed, small
):
    path = tmp_path / "a.yaml"
    path.write_bytes(damaged(random.Random(seed), TEXTS))
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        plan = plan_of(path, small, tmp_path / "results", to_run=False)
        print_plan(plan, DEVICE, Console(file=printed, width=120))
        printed.flush()
    except BadInput as error:
        for line in str(error).split("\n"):
            assert line.startswith(f"{path}:") and line.isprintable() and line.encode()
