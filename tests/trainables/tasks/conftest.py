"""Provides small data sets of the real formats to tasks with real data."""

import os

import pytest

from tests.support import task_files

REAL = os.environ.get("SOUNDINGS_DATA")


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    task_files.write(folder)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def small_files(small_data, cache, monkeypatch):
    monkeypatch.setenv("SOUNDINGS_DATA", str(small_data))
    monkeypatch.setenv("SOUNDINGS_CACHE", str(cache))


@pytest.fixture
def real_files(monkeypatch):
    """Use the SOUNDINGS_DATA that the tests were started with; skip the test without it."""
    if not REAL:
        pytest.skip("SOUNDINGS_DATA is not set: no real data here")
    monkeypatch.setenv("SOUNDINGS_DATA", REAL)
