"""Define fixtures that several test files share and that are expensive to set up."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from mlflow import MlflowClient
from ray._raylet import AuthenticationTokenLoader

from tests.support.studies import Folder, random_folder


@pytest.fixture(scope="session", params=[1, 2])
def at_random(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a random results folder: cells of every kind, and trials with every outcome."""
    return random_folder(tmp_path_factory.mktemp("random"), request.param)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty MLflow store; creating one takes seconds, so tests copy this one."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    """Return the path of a copy of the empty store."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(empty_store.read_bytes())
    return path


@pytest.fixture(scope="package")
def flag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the path of the file in which a test's trainable notes that it was killed once."""
    path = tmp_path_factory.mktemp("flag") / "killed"
    os.environ["SOUNDINGS_TEST_FLAG"] = str(path)  # workers inherit the environment
    yield path
    del os.environ["SOUNDINGS_TEST_FLAG"]


@pytest.fixture(scope="package")
def one_ray(flag: Path) -> Iterator[None]:
    """Start one Ray instance for all tests of this process that run sweeps in it."""
    AuthenticationTokenLoader.instance().reset_cache()  # drops the token of another test's cluster
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 1024**2,
    )
    yield
    ray.shutdown()
