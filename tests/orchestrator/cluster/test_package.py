"""Checks which files go with a job, and which are left out or refused before anything is sent."""

import os
import socket
import zipfile

import pytest

from orchestrator.cluster import package
from orchestrator.cluster.package import LIMIT, collect
from orchestrator.errors import BadInput


@pytest.fixture
def mine(tmp_path):
    """Return the folder of a package with two modules."""
    folder = tmp_path / "mine"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("one")
    (folder / "inner/cells.py").write_text("two")
    return folder


def copied(folder, tmp_path):
    """Return the contents of the files that go with a job, by their names in it."""
    target = tmp_path / "job"
    target.mkdir()
    collect({folder.name: folder}).copy(target)
    return {
        str(path.relative_to(target)): path.read_text()
        for path in target.rglob("*")
        if path.is_file()
    }


CODE = {"mine/__init__.py": "one", "mine/inner/cells.py": "two"}


def test_the_code_goes_with_a_job_and_what_others_make_beside_it_does_not(mine, tmp_path):
    for name in (".git", ".venv", "venv", "inner/__pycache__", "mine.egg-info"):
        (mine / name).mkdir()
        (mine / name / "file").write_text("of a tool")
    (mine / ".gitignore").write_text("inner")
    (mine / "old.pyc").write_text("")
    assert copied(mine, tmp_path) == CODE


def test_a_link_to_a_file_and_one_to_another_folder_of_the_package_are_sent_as_their_content(
    mine, tmp_path, caplog
):
    (tmp_path / "shared.py").write_text("three")
    (mine / "shared.py").symlink_to("../shared.py")
    (mine / "alias").symlink_to("inner")
    more = {"mine/shared.py": "three", "mine/alias/cells.py": "two"}
    assert copied(mine, tmp_path) == CODE | more
    assert caplog.text == ""


def make(kind, folder):
    """Make something in a folder that no job can use; return its name and what is said of it."""
    path = folder / "odd"
    if kind == "nothing":
        path.symlink_to("/mnt/nowhere/data")
        return "a link to /mnt/nowhere/data: No such file or directory"
    if kind == "loop":
        path.symlink_to("odd")
        return "a link to odd: Too many levels of symbolic links"
    if kind == "itself":
        path.symlink_to(".")
        return "a link to ., a folder that it lies in"
    if kind == "above":
        path.symlink_to(folder.parent)
        return f"a link to {folder.parent}, a folder that it lies in"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))  # an absolute path may be too long for a socket
    elif kind == "device":
        path.symlink_to("/dev/null")
    return "a pipe, a socket or a device"


@pytest.mark.parametrize("kind", ["nothing", "loop", "itself", "above", "pipe", "socket", "device"])
def test_what_no_job_can_use_is_left_out_and_named(mine, tmp_path, caplog, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    said = make(kind, mine / "inner")
    assert copied(mine, tmp_path) == CODE
    (record,) = caplog.records
    assert record.getMessage() == f"mine/inner/odd is left out of what is sent: {said}"


@pytest.mark.parametrize("name", [b"\xff.py", b"a\nb.py", b"caf\xe9"])
def test_a_name_that_an_archive_cannot_hold_is_left_out(mine, tmp_path, caplog, name):
    (mine / os.fsdecode(name)).write_text("odd")
    assert copied(mine, tmp_path) == CODE
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert "not every machine can have a file of this name" in record.getMessage()


def test_a_link_out_of_the_package_is_followed_and_said(mine, tmp_path, caplog):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "common.py").write_text("four")
    (mine / "common").symlink_to(elsewhere)
    assert copied(mine, tmp_path) == CODE | {"mine/common/common.py": "four"}
    assert f"mine/common is a link to {elsewhere}: what lies there is sent, too" in caplog.text


def test_a_link_into_a_tree_that_is_no_code_is_refused_and_named(mine, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.mkfifo(elsewhere / "pipe")
    (mine / "data").symlink_to(elsewhere)
    with pytest.raises(BadInput) as caught:
        collect({"mine": mine})
    assert f"cannot send mine/data, a link to {elsewhere}: mine/data/pipe is a" in str(caught.value)
    (elsewhere / "pipe").unlink()
    monkeypatch.setattr(package, "MOST_ENTRIES", 20)
    for number in range(21):
        (elsewhere / str(number)).touch()
    with pytest.raises(BadInput) as caught:
        collect({"mine": mine})
    assert f"some of them in mine/data, a link to {elsewhere};" in str(caught.value)


def test_a_package_that_is_too_large_is_refused_with_its_size_the_limit_and_its_largest_files(
    mine,
):
    for name, size in {"weights.bin": 90, "inner/more.bin": 30}.items():
        with (mine / name).open("wb") as file:
            file.truncate(size * 1024**2)
    with pytest.raises(BadInput) as caught:
        collect({"mine": mine})
    assert str(caught.value).startswith(
        "120.0 MB would go with the job, but Ray's job server takes less than 100 MB; the largest "
        "files are mine/weights.bin (90.0 MB), mine/inner/more.bin (30.0 MB): put data"
    )


def test_the_size_of_a_package_is_that_of_the_archive_that_ray_makes(mine, tmp_path):
    (mine / "größe.txt").write_text("x" * 1000)
    counted = collect({"mine": mine})
    (tmp_path / "job").mkdir()
    counted.copy(tmp_path / "job")
    archive = tmp_path / "job.zip"
    with zipfile.ZipFile(archive, "w", strict_timestamps=False) as file:
        for name in counted.files:
            file.write(tmp_path / "job" / name, name)
    assert 0 <= archive.stat().st_size - counted.size <= 22  # the end of an archive
    assert LIMIT == 104_857_600
    from ray._private import ray_constants

    assert LIMIT == ray_constants.DASHBOARD_CLIENT_MAX_SIZE


def test_a_file_that_cannot_be_read_is_refused_and_named(mine, tmp_path, monkeypatch):
    (tmp_path / "job").mkdir()
    listed = collect({"mine": mine})
    (mine / "inner/cells.py").unlink()
    with pytest.raises(BadInput) as caught:
        listed.copy(tmp_path / "job")
    assert str(caught.value).startswith(f"cannot send mine/inner/cells.py: {mine}/inner/cells.py: ")
