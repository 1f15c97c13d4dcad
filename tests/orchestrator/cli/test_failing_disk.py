"""Lets every call of the operating system fail in turn while commands run on a sweep."""

import errno
import io
import itertools
import json

import pytest

from orchestrator.cli import commands, run
from orchestrator.ledger import Ledger
from orchestrator.views import report, tables
from tests.support.failing_calls import CALLS, FailingCalls
from tests.support.small import small_file
from tests.support.studies import Folder, completed

NAMES = "EIO ESTALE EDQUOT ENOSPC EROFS EACCES ENAMETOOLONG ELOOP ENOTDIR"
ERRORS = [getattr(errno, name) for name in NAMES.split()]
COMMANDS = ["plan small.yaml", "status", "status small", "list sweeps", "stop small"]
SLOW = ["tables small other", "report small", "sync small", "resume small"]


@pytest.fixture
def folder(tmp_path, monkeypatch, store):
    """Return a results folder with two sweeps of which nothing is left to run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "results").mkdir()
    store.rename(tmp_path / "results/mlflow.db")
    small_file(tmp_path)
    for name in ("small", "other"):
        folder_of_sweep = Folder.of(tmp_path / "results", name=name)
        for architecture in ("rnn", "gru"):
            folder_of_sweep.fill(architecture, *[completed(0.5, 1.0)] * 6)
    # Tables and figures take seconds to build and touch no disk: these tests write a few of them.
    built = tables.build(Folder.of(tmp_path / "results").study)[:1]
    monkeypatch.setattr(tables, "build", lambda study: built)
    monkeypatch.setattr(report, "draw", lambda study, by_name: [])
    monkeypatch.setattr(run, "PRINTED", ())
    return folder_of_sweep


@pytest.fixture
def call(monkeypatch, capsys):
    """Call a command in this process; return its exit code, its output and its errors."""

    def in_process(line):
        monkeypatch.setattr("sys.argv", ["soundings", *line.split()])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err.strip()

    return in_process


def recorded(paths):
    """Return what the manifest and the ledger of a sweep hold."""
    ledger = Ledger(paths.ledger)
    frames = [ledger.trials(), ledger.results(), ledger.starts()]
    return json.loads(paths.manifest.read_text()), [frame.to_csv() for frame in frames]


def let_each_call_fail(folder, call, monkeypatch, line, kind):
    """Run a command once for each call of a kind that it makes, which fails in that run."""
    before = recorded(folder.paths)
    numbers = itertools.cycle(ERRORS)
    for first in itertools.count():
        with monkeypatch.context() as patch:
            failing = FailingCalls(patch, folder.paths.results)
            failing.fail(kind, next(numbers), first, once=first % 2 == 0)
            code, _, err = call(line)
            if failing.seen <= first:
                break
        assert "Traceback" not in err and "errno" not in err.lower()
        assert code in (0, 1, 2)
        if code:
            assert "results" in err.splitlines()[-1] or "small.yaml" in err
        assert recorded(folder.paths) == before
    assert code == 0


@pytest.mark.parametrize("kind", CALLS)
def test_whichever_call_fails_a_command_ends_with_one_sentence_and_loses_nothing(
    folder, call, monkeypatch, kind
):
    for line in COMMANDS:
        let_each_call_fail(folder, call, monkeypatch, line, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("line", SLOW)
def test_whichever_call_fails_while_views_are_written_there_is_one_sentence_and_nothing_is_lost(
    folder, call, monkeypatch, line, kind
):
    let_each_call_fail(folder, call, monkeypatch, line, kind)


def test_a_full_disk_is_named_by_the_file_that_does_not_fit_and_an_earlier_one_stays(
    folder, call, monkeypatch
):
    """/dev/full opens and takes no byte, as a file on a full disk; its errors name no file."""
    call("tables small")
    files = {path: path.read_bytes() for path in folder.paths.results.rglob("tables/*")}
    real = io.open
    monkeypatch.setattr(
        io,
        "open",
        lambda path, *a, **o: real("/dev/full" if ".tmp" in str(path) else path, *a, **o),
    )
    code, _, err = call("tables small")
    assert code == 2
    assert err.startswith("results/small/tables/parameter_matched.csv: No space left on device; ")
    assert "free space on that disk" in err and "Errno" not in err
    assert {path: path.read_bytes() for path in folder.paths.results.rglob("tables/*")} == files


@pytest.mark.parametrize("line", ["status small", "tables small", "resume small", "sync small"])
def test_a_manifest_whose_content_lies_elsewhere_is_not_a_sweep_that_never_ran(
    folder, call, line, tmp_path
):
    """git-annex and DVC leave a link to nothing in place of a file that is not fetched."""
    manifest = tmp_path / "results/small/sweep.json"
    manifest.unlink()
    manifest.symlink_to("../.git/annex/objects/a1")
    code, _, err = call(line)
    assert code == 2
    assert err.startswith("results/small/sweep.json: a link to ../.git/annex/objects/a1, where no ")
    assert "git annex get" in err
    assert manifest.is_symlink()


@pytest.mark.parametrize("kind", ["loop", "folder", "unreadable"])
def test_a_sweep_that_cannot_be_read_hides_no_other_one(folder, call, tmp_path, kind, monkeypatch):
    manifest = tmp_path / "results/small/sweep.json"
    manifest.unlink()
    if kind == "loop":
        manifest.symlink_to("sweep.json")
    elif kind == "folder":
        manifest.mkdir()
    else:
        FailingCalls(monkeypatch, manifest.parent).fail("stat", errno.EACCES, 0, once=False)
    # The list counts trials and does not read manifests.
    for line in ("list sweeps", "status") if kind != "folder" else ("status",):
        code, out, err = call(line)
        assert code == 0 and "other" in out
        (sentence,) = [text for text in (out + err).splitlines() if "small/sweep.json: " in text]
    code, _, err = call("tables other small")
    assert code in (1, 2) and err == sentence
