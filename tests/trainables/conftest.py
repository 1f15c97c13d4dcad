"""Provides the fixtures that tests of trainables share."""

import pytest


@pytest.fixture
def ray_folder(tmp_path, monkeypatch):
    """Make Ray write the directories of its trainables below ``tmp_path``."""
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path / "ray"))
