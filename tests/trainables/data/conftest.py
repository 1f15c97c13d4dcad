"""Gives every test a cache and a data folder of its own, and no way out to the internet."""

import http.server
import os
import threading

import pytest

from trainables.data import files, prepared

REAL = os.environ.get("SOUNDINGS_DATA")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Return the empty cache; no array is open, and every address refuses connections."""
    monkeypatch.setenv("SOUNDINGS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SOUNDINGS_DATA", raising=False)
    monkeypatch.setattr(prepared, "_opened", {})
    for dataset in files.ADDRESSES:
        monkeypatch.setitem(files.ADDRESSES, dataset, "http://127.0.0.1:9/")
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return the empty folder that SOUNDINGS_DATA names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("SOUNDINGS_DATA", str(folder))
    return folder


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Yield a folder that all addresses lead to, and the list of the names that were asked for."""
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            asked.append(self.path.strip("/"))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for dataset in files.ADDRESSES:
            address = f"http://127.0.0.1:{running.server_port}/"
            monkeypatch.setitem(files.ADDRESSES, dataset, address)
        yield folder, asked
        running.shutdown()
        thread.join()


@pytest.fixture
def real(monkeypatch):
    """Return the folder of real data; skip the test if there is none."""
    if not REAL:
        pytest.skip("wants real data: set SOUNDINGS_DATA to a folder of it")
    monkeypatch.setenv("SOUNDINGS_DATA", REAL)
    return REAL
