"""The examples in docs/extending.md run as they stand there."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.support.command import soundings

TEXT = (Path(__file__).parent.parent / "docs/extending.md").read_text()
BLOCKS = re.findall(r"```(?:python|yaml)\n(.*?)```", TEXT, flags=re.DOTALL)
CELLS, SWEEP, TASK, TASK_SWEEP, WEIGHTS = BLOCKS


def test_the_examples_of_extending_md_are_short():
    assert len(CELLS.splitlines()) + len(SWEEP.splitlines()) < 40
    assert len(TASK.splitlines()) + len(TASK_SWEEP.splitlines()) < 50


def parameters(n, depth):
    """Count the parameters of the example: per layer two gates and an initial state, and a readout.

    The task feeds the pixels of a digit one by one and has 10 outputs.
    """
    widths = [1] + [n] * (depth - 1)
    return sum(2 * (n * width + n * n + n) + n for width in widths) + 10 * n + 10


@pytest.mark.slow
def test_an_architecture_beside_the_sweep_file_is_sized_trained_and_in_the_tables(tmp_path):
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "cells.py").write_text(CELLS)
    (tmp_path / "mine.yaml").write_text(SWEEP)
    ran = soundings("run", "mine.yaml", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    trials = pd.read_parquet(tmp_path / "results/mine/ledger/trials")
    own = trials[trials["architecture"].astype(str) == "mypackage.cells:LeakyGated(keep=0.9)"]
    assert set(own["outcome"].astype(str)) <= {"completed", "infeasible"}
    assert len(own) == 4
    for depth, rows in own.groupby("depth"):
        width = max(n for n in range(1, 50) if parameters(n, depth) <= 2000)
        assert set(rows["hidden"]) == {width}
        assert set(rows["parameters"]) == {parameters(width, depth)}
    tables = pd.read_csv(tmp_path / "results/mine/tables/parameter_matched.csv")
    assert "mypackage.cells:LeakyGated(keep=0.9)" in set(tables["architecture"])


@pytest.mark.slow
def test_a_task_beside_the_sweep_file_is_trained_on_and_in_the_tables(tmp_path):
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "tasks.py").write_text(TASK)
    (tmp_path / "maxima.yaml").write_text(TASK_SWEEP)
    ran = soundings("run", "maxima.yaml", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    trials = pd.read_parquet(tmp_path / "results/maxima/ledger/trials")
    assert set(trials["task"].astype(str)) == {"mypackage.tasks:Maximum(length=5)"}
    assert set(trials["metric"]) == {"rms"}
    # The largest of five uniform numbers is Beta(5, 1): variance 5 / (36 * 7).
    assert trials["baseline_loss"].tolist() == pytest.approx([5 / 252] * 2)
    assert trials["baseline_metric"].tolist() == pytest.approx([(5 / 252) ** 0.5] * 2)
    tables = pd.read_csv(tmp_path / "results/maxima/tables/parameter_matched.csv")
    assert set(tables["task"]) == {"mypackage.tasks:Maximum(length=5)"}


def test_the_example_loads_the_weights_of_a_torch_lstm_by_name():
    torch.manual_seed(0)
    scope = {}
    exec(WEIGHTS, scope)
    x = torch.randn(6, 4, 3)
    with torch.no_grad():
        outputs, _ = scope["network"].layers[0](x.unsqueeze(0))
        expected, _ = scope["other"](x)
    torch.testing.assert_close(outputs[0], expected, rtol=0, atol=1e-6)
