"""Tests that ``trainables`` imports no orchestrator, and no Ray outside of its trial module."""

import subprocess
import sys

import pytest

LIST = """
import importlib, pkgutil, sys
import trainables
names = [m.name for m in pkgutil.walk_packages(trainables.__path__, "trainables.")]
assert len(names) > 15, names
for name in names:
    if name != "trainables.trial":
        importlib.import_module(name)
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def imported():
    """Return the top-level packages in memory after an import of everything except the trial."""
    completed = subprocess.run(
        [sys.executable, "-c", LIST], capture_output=True, text=True, check=True, timeout=120
    )
    return set(completed.stdout.split())


def test_everything_but_the_trial_is_imported_without_ray(imported):
    assert {"trainables", "torch"} <= imported
    assert "ray" not in imported


def test_trainables_imports_neither_the_orchestrator_nor_its_libraries(imported):
    libraries = {"mlflow", "pandas", "pyarrow", "optuna", "pydantic", "pooch", "sklearn"}
    assert not imported & {"orchestrator", *libraries}


def test_the_trial_module_imports_nothing_of_the_orchestrator():
    code = "import sys, trainables.trial; sys.exit('orchestrator' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
