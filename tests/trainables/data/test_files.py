"""Tests where files are looked for, and downloads from a server of the tests."""

import gzip
import hashlib
import logging
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pooch
import pytest

from tests.support.data_sources import write_mnist
from trainables.data import DataError, files, images, mnist, shakespeare, text8
from trainables.data.files import find

TEXT = b"some text"
MD5 = "md5:" + hashlib.md5(TEXT).hexdigest()


def put(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_users_own_folder_comes_before_the_cache_and_the_cache_before_a_download(
    data, cache, server
):
    served, asked = server
    put(served, "text8.zip", TEXT)
    own = put(data, "text8/text8.zip", b"mine, and no checksum is asked for")
    kept = put(cache, "text8/text8", b"in the cache")

    assert find("text8", "text8", "text8.zip", checksum=MD5) == own
    own.unlink()
    assert find("text8", "text8", "text8.zip", checksum=MD5) == kept
    kept.unlink()
    assert asked == []
    downloaded = find("text8", "text8", "text8.zip", checksum=MD5)
    assert downloaded == cache / "text8" / "text8.zip"
    assert downloaded.read_bytes() == TEXT
    assert find("text8", "text8", "text8.zip", checksum=MD5) == downloaded
    assert len(asked) == 1


def test_the_first_of_several_names_of_a_file_is_preferred(data):
    put(data, "text8/text8.zip", b"")
    plain = put(data, "text8/text8", b"")
    assert find("text8", "text8", "text8.zip", checksum=MD5) == plain


def test_the_cache_is_that_of_the_user_unless_soundings_cache_names_another(monkeypatch, tmp_path):
    assert files.cache() == tmp_path / "cache"
    monkeypatch.setenv("SOUNDINGS_CACHE", "")
    assert files.cache() == pooch.os_cache("soundings")
    monkeypatch.setenv("SOUNDINGS_CACHE", "~/a")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache() == tmp_path / "a"


def test_a_download_is_logged_once(server, caplog, monkeypatch):
    put(server[0], "text8.zip", TEXT)
    monkeypatch.setattr(pooch.get_logger(), "handlers", [caplog.handler])
    pooch.get_logger().setLevel(logging.NOTSET)
    find("text8", "text8.zip", checksum=MD5)
    lines = [record for record in caplog.records if record.name in ("soundings", "pooch")]
    # A warning is seen without any set-up of logging.
    assert [record.levelno for record in lines] == [logging.WARNING]
    assert lines[0].getMessage().startswith("Downloading http://127.0.0.1:")


def test_all_four_files_of_mnist_are_downloaded_and_checked(server, cache, tmp_path, monkeypatch):
    served, _ = server
    write_mnist(served, zipped=True)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz sent is not the known"):
        mnist()  # small files are not the real ones
    sums = {
        path.name.removesuffix(".gz"): "md5:" + hashlib.md5(path.read_bytes()).hexdigest()
        for path in served.iterdir()
    }
    assert set(sums) == set(images._MNIST)
    monkeypatch.setattr(images, "_MNIST", {name: sums[name] for name in images._MNIST})
    assert mnist().training_labels.tolist() == [1, 2, 3]
    kept = gzip.decompress((cache / "mnist" / "t10k-labels-idx1-ubyte.gz").read_bytes())
    assert kept[8:] == bytes([1, 2])


def test_a_download_with_a_wrong_checksum_is_deleted_and_refused(server, cache):
    put(server[0], "text8.zip", b"a page of a hotel's network")
    with pytest.raises(DataError) as caught:
        text8()
    address = files.ADDRESSES["text8"] + "text8.zip"
    assert str(caught.value) == (
        f"what {address} sent is not the known text8.zip (its checksum differs) and was deleted: "
        "try again, or get it from elsewhere and put it into a folder text8 below the one that "
        "SOUNDINGS_DATA names"
    )
    assert names(cache / "text8") == ["download.lock"]


# The process is killed when the file is there, but not yet checked.
KILLED = """
import os, signal, sys
import pooch.core
from trainables.data import files

files.ADDRESSES["text8"], checksum = sys.argv[1:]
pooch.core.hash_matches = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
files.find("text8", "text8.zip", checksum=checksum)
"""


def test_the_unfinished_file_of_a_killed_download_is_not_used_but_deleted(server, cache):
    put(server[0], "text8.zip", TEXT)
    for _ in range(2):
        command = [sys.executable, "-c", KILLED, files.ADDRESSES["text8"], MD5]
        assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
        assert names(cache / "text8") == ["download.lock", "unfinished"]
        assert len(names(cache / "text8" / "unfinished")) == 1
    assert find("text8", "text8", "text8.zip", checksum=MD5).read_bytes() == TEXT
    assert names(cache / "text8") == ["download.lock", "text8.zip"]


def test_a_file_that_another_process_downloaded_meanwhile_is_used(server, cache, monkeypatch):
    _, asked = server
    locked = files.locked

    @contextmanager
    def waits(*arguments):
        with locked(*arguments):
            put(cache, "text8/text8.zip", TEXT)
            yield

    monkeypatch.setattr(files, "locked", waits)
    assert find("text8", "text8.zip", checksum=MD5) == cache / "text8" / "text8.zip"
    assert asked == []


def test_a_failed_download_tells_where_was_looked_and_what_to_do(data, cache):
    with pytest.raises(DataError) as caught:
        text8()
    assert str(caught.value) == (
        f"text8 or text8.zip is not in {data / 'text8'} or {cache / 'text8'}, and "
        "http://127.0.0.1:9/text8.zip could not be downloaded (Connection refused): get it from "
        "there and put it into a folder text8 below the one that SOUNDINGS_DATA names"
    )


def test_a_file_that_the_server_lacks_is_reported_as_missing(server, cache):
    with pytest.raises(DataError, match=rf"not in {cache}/tinyshakespeare, .* \(404 Client Error"):
        shakespeare()


@pytest.mark.parametrize("name", ["nowhere", "a file"])
def test_soundings_data_must_name_a_folder(tmp_path, monkeypatch, name):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("SOUNDINGS_DATA", str(tmp_path / name))
    with pytest.raises(DataError) as caught:
        shakespeare()
    folder = tmp_path / name
    assert str(caught.value) == f"SOUNDINGS_DATA is '{folder}', but there is no such folder"


@pytest.mark.parametrize("variable", ["SOUNDINGS_DATA", "SOUNDINGS_CACHE"])
def test_a_folder_that_cannot_be_read_is_reported(monkeypatch, variable):
    monkeypatch.setenv(variable, "x" * 5000)
    with pytest.raises(DataError, match=r"xx.* cannot be read \(File name too long\)"):
        shakespeare()


def test_a_cache_that_cannot_be_written_is_reported(tmp_path, monkeypatch, data):
    put(data, "tinyshakespeare/input.txt", b"words")
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("SOUNDINGS_CACHE", str(tmp_path / "a file"))
    with pytest.raises(
        DataError, match=r"prepared cannot be written \(Not a directory\): set SOUNDINGS_CACHE"
    ):
        shakespeare()


def test_importing_trainables_data_creates_no_files_and_imports_no_torch(tmp_path):
    variables = {"SOUNDINGS_DATA": str(tmp_path / "no"), "SOUNDINGS_CACHE": str(tmp_path / "cache")}
    code = "import sys, trainables.data; sys.exit('ray' in sys.modules or 'torch' in sys.modules)"
    completed = subprocess.run([sys.executable, "-c", code], env=os.environ | variables, timeout=60)
    assert completed.returncode == 0
    assert list(tmp_path.iterdir()) == []
