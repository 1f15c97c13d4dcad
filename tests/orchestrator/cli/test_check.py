"""`soundings check` finds what is damaged or missing, and a copy of a running ledger is whole."""

import os
import random
import re
import shutil
import subprocess
import threading

import pytest

from orchestrator.cli.checking import print_check
from orchestrator.errors import BadInput, RunFailed, explained
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.ledger import writer as writer_module
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.plan.check import check
from tests.support.paths import ROOT
from tests.support.rows import files
from tests.support.studies import (
    Folder,
    completed,
    diagnosed,
    errored,
    infeasible,
    stopped,
    subtracted,
)


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a sweep with trials of every outcome, in two cells."""
    folder = Folder.of(tmp_path / "results")
    for architecture in ("rnn", "gru"):
        folder.fill(
            architecture, completed(1.0, 2.0), stopped(), infeasible(), errored(), completed(3, 4)
        )
    return folder


def printed(folder, capsys, repair=False):
    """Return whether a check says that all is whole, and what it prints."""
    try:
        print_check(folder.paths, repair)
    except RunFailed as error:
        return False, capsys.readouterr().out + str(error)
    return True, capsys.readouterr().out


def test_a_whole_ledger_is_whole_and_is_not_changed(folder, capsys):
    before = {path: path.read_bytes() for path in folder.paths.folder.rglob("*") if path.is_file()}
    whole, text = printed(folder, capsys)
    assert whole and "10 trials, 28 reports, 10 starts" in text and "8 of 12 ended" in text
    assert "2 errored" in text
    assert "Whole, but not complete: the end of 4 trials is not recorded, of which 2 began" in text
    after = {path: path.read_bytes() for path in folder.paths.folder.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("seed", range(6))
def test_any_lost_file_of_reports_is_noticed_and_exactly_its_trials_run_again(
    tmp_path, seed, capsys
):
    """The files are deleted, truncated or changed by one bit, as copies and disks do."""
    chance = random.Random(seed)
    folder = Folder.of(tmp_path)
    names = [f"{cell.id}_{index:05d}" for cell in folder.plan.cells for index in range(6)]
    for name in names:  # one file each
        folder.write({name: chance.choice([completed(1.0, 1.0), stopped(), infeasible()])})
    lost = chance.sample(files(folder.paths.ledger, "results"), chance.randint(1, 5))
    trials = {row["trial"] for path in lost for row in rows_of(path)}
    for path in lost:
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        how = chance.choice(["deleted", "cut", "flipped"])
        path.write_bytes(content[:100] if how == "cut" else content)
        if how == "deleted":
            path.unlink()
    whole, text = printed(folder, capsys)
    assert not whole and f"{len(trials)} lack a part of their record" in text
    assert "--repair" in text
    whole, text = printed(folder, capsys, repair=True)
    assert whole and "Repaired. Run what is missing with:" in text
    left = subtracted(folder.plan, folder.paths)
    assert left.count == len(trials)
    assert set(left.record.trials["trial"]) == set(names) - trials
    assert printed(folder, capsys)[0]  # also without damaged files


def rows_of(path):
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).read(["trial"]).to_pylist()


def test_a_complete_sweep_is_whole_until_anything_is_gone(tmp_path, capsys):
    folder = Folder.of(tmp_path, search={"samples": 1})
    for cell in folder.plan.cells:
        folder.write({f"{cell.id}_00000": completed(1.0, 2.0)})
    assert "\nWhole: nothing is missing.\n" in printed(folder, capsys)[1]
    lost = files(folder.paths.ledger, "trials")[0]
    lost.rename(tmp_path / lost.name)
    whole, text = printed(folder, capsys)
    assert whole and "Whole, but not complete: the end of 1 trials is not recorded" in text
    shutil.rmtree(folder.paths.ledger)
    whole, text = printed(folder, capsys)
    assert not whole and "ledger: empty; if it was lost, copy it again" in text


def test_starts_that_are_lost_cost_no_trial_and_are_restored(folder, capsys):
    before = Ledger(folder.paths.ledger).trials(), Ledger(folder.paths.ledger).starts()
    shutil.rmtree(folder.paths.ledger / "starts")
    whole, text = printed(folder, capsys)
    assert not whole and "10 trials ended, but lack the row of their start" in text
    assert printed(folder, capsys, repair=True)[0] and printed(folder, capsys)[0]
    assert Ledger(folder.paths.ledger).trials().equals(before[0])
    kept = ["sweep", "trial", "index", "configuration"]
    restored = Ledger(folder.paths.ledger).starts().sort_values("trial", ignore_index=True)
    assert restored[kept].equals(before[1].sort_values("trial", ignore_index=True)[kept])


@pytest.mark.parametrize("dataset", ["starts", "results", "trials"])
def test_files_that_lie_in_the_folder_of_another_cell_are_refused(folder, dataset):
    one, *_, other = files(folder.paths.ledger, dataset)  # in two cells
    one.rename(other.parent / one.name)
    with pytest.raises(BadInput, match=rf"{one.name}: has rows of .*_0000\d, a trial of another"):
        print_check(folder.paths, False)
    with pytest.raises(BadInput, match=f"move the file back into the folder {one.parent.name}"):
        print_check(folder.paths, True)
    (other.parent / one.name).rename(one)
    assert check(folder.plan, folder.paths).is_whole


def test_a_second_copy_that_only_other_readers_read_is_named(folder, capsys):
    part = files(folder.paths.ledger, "results")[0]
    copy = part.with_name(f"{part.stem} (1).parquet")
    shutil.copy(part, copy)
    whole, text = printed(folder, capsys)
    assert whole and f"others   {copy}: no parts of the ledger" in text


@pytest.mark.parametrize("place", ["manifest", "part", "ledger"])
def test_a_pipe_in_place_of_a_file_is_named_and_nobody_waits_for_it(folder, place):
    part = files(folder.paths.ledger, "results")[0]
    path = {"manifest": folder.paths.manifest, "part": part, "ledger": folder.paths.ledger}[place]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.mkfifo(path)
    with pytest.raises((OSError, BadInput)) as caught:
        print_check(folder.paths, False)
    assert str(path) in explained(caught.value)
    assert "it is a pipe" in str(caught.value) or "no folder" in str(caught.value)


def test_a_manifest_that_is_nested_too_deeply_is_damaged(folder):
    folder.paths.manifest.write_text("[" * 200_000)
    with pytest.raises(BadInput, match=r"sweep\.json: damaged \(maximum recursion depth"):
        print_check(folder.paths, False)


def test_a_resume_notices_lost_reports_by_itself(folder, caplog):
    ledger = folder.paths.ledger
    shutil.rmtree(ledger / "results" / f"cell={folder.plan.cells[0].id}")
    left = subtracted(folder.plan, folder.paths)
    assert "4 trials lack a part of their record and start over" in caplog.text
    assert left.count == 12 - 4  # four of the other cell ended for good
    assert len(Ledger(ledger).trials()) == 6  # the errored trial had no report to lose


def test_a_ledger_of_another_sweep_is_not_taken_for_this_one(folder, tmp_path, capsys):
    other = Folder.of(tmp_path / "other", architectures=["lstm"])
    other.fill("lstm", completed(1.0, 1.0))
    name = "trials/cell=" + other.plan.cells[0].id
    shutil.copytree(other.paths.ledger / name, folder.paths.ledger / name)
    whole, text = printed(folder, capsys)
    assert not whole and "1 trials are not of this sweep" in text
    whole, text = printed(folder, capsys, repair=True)
    assert not whole and "1 trials are not of this sweep, and were left" in text


def test_a_repair_waits_for_no_run_but_is_refused_beside_one(folder, capsys):
    files(folder.paths.ledger, "results")[0].unlink()
    with sweep_lock(folder.paths).hold(), pytest.raises(BadInput, match="another run"):
        print_check(folder.paths, True)


def recipe():
    """Return the shell text of the documents' recipe for a backup, without its check."""
    text = (ROOT / "docs" / "operating.md").read_text().partition("## Backup")[2]
    (block,) = re.findall(r"```sh\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
    lines = [line for line in block.splitlines() if not line.startswith(("soundings", "#"))]
    assert len(lines) > 3
    return "\n".join(lines)


def test_a_backup_that_is_made_while_a_run_writes_and_merges_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "MERGED_AT_ONCE", 3)
    folder = Folder.of(tmp_path / "results", search={"samples": 2000}, name="mine")
    cell = folder.plan.cells[0]
    begun, enough = threading.Event(), threading.Event()

    def work():
        writer = LedgerWriter(folder.paths.ledger)
        for index in range(2000):
            trial = f"{cell.id}_{index:05d}"
            row = {"trial": trial, "index": index, "outcome": "completed", "step": 16}
            writer.add("starts", cell.id, row)
            for step in (4, 8, 12, 16):
                writer.add("results", cell.id, row | {"step": step, "objective": 1.0})
            writer.add("trials", cell.id, row)
            writer.flush()
            if index > 20:
                begun.set()
            if enough.is_set():
                return

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    copies = []
    for _ in range(5):
        shutil.rmtree(tmp_path / "backup", ignore_errors=True)
        subprocess.run(["bash", "-c", recipe()], cwd=tmp_path, check=True, capture_output=True)
        copies.append(check(folder.plan, SweepPaths(tmp_path / "backup", "mine")))
    enough.set()
    thread.join()
    assert all(copy.is_whole and copy.ended > 20 for copy in copies)


def test_diagnostics_are_counted_and_a_lost_file_of_them_is_noticed(tmp_path, capsys):
    asked = {"lyapunov": True, "at": [0]}
    folder = Folder.of(tmp_path, architectures=["rnn"], search={"samples": 2}, diagnostics=asked)
    rows = [diagnosed("lyapunov_exponents", [0.1, 0.2], lane=lane) for lane in (0, 1)]
    for _ in range(2):  # the second time, a second file has the same rows again
        folder.fill("rnn", *[completed(1.0, 2.0, diagnostics=rows)] * 2)
    whole, text = printed(folder, capsys)
    assert whole and "2 starts, 4 diagnostics; every checksum" in text
    LedgerWriter(folder.paths.ledger).compact()
    (file,) = files(folder.paths.ledger, "diagnostics")
    assert len(rows_of(file)) == 8  # each row twice, of which one counts
    assert "2 starts, 4 diagnostics; every checksum" in printed(folder, capsys)[1]
    LedgerWriter(folder.paths.ledger).forget(
        {file.parent.name.removeprefix("cell="): [rows_of(file)[0]["trial"]]}
    )
    assert len(Ledger(folder.paths.ledger).diagnostics()) == 2
    shutil.rmtree(folder.paths.ledger / "diagnostics")
    whole, text = printed(folder, capsys)
    assert not whole and "1 lack a part of their record" in text
