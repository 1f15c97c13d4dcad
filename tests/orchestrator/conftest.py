"""What several files of tests need and is not worth making twice."""

import pytest

from tests.orchestrator.studies import Folder, random_folder


@pytest.fixture(scope="session", params=[1, 2])
def at_random(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A results folder with cells of every kind and all that can become of a trial."""
    return random_folder(tmp_path_factory.mktemp("random"), request.param)
