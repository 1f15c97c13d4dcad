"""`resume --fresh` forgets errored trials and loses no other row."""

from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.plan.remaining import TrialSelection
from orchestrator.running.writer import ledger_writer
from tests.support.studies import Folder, completed, errored, subtracted


def test_a_trial_that_starts_over_gets_numbers_above_those_of_every_file(tmp_path):
    """The forgotten rows had the highest numbers, which stay in the name of their rewritten file.

    A new file with one of these numbers would count as merged into that file.
    """
    folder = Folder.of(tmp_path, architectures=["rnn"])
    folder.fill("rnn", completed(1.0, 1.0), completed(1.0, 1.0), errored())
    cell = folder.plan.cells[0].id
    trial = f"{cell}_00002"
    ledger = Ledger(folder.paths.ledger)
    before = ledger.trials()

    left = subtracted(folder.plan, folder.paths, TrialSelection(unfinished=False), fresh=True)
    assert left.indices[cell] == [2]
    assert trial not in set(ledger.trials()["trial"]) | set(ledger.starts()["trial"])
    writer = ledger_writer(folder.paths)
    writer.add("starts", cell, {"trial": trial, "index": 2})
    writer.add("results", cell, {"trial": trial, "step": 4})
    writer.add("trials", cell, {"trial": trial, "index": 2, "outcome": "completed"})
    writer.flush()

    LedgerWriter(folder.paths.ledger)  # deletes files that count as merged
    after = ledger.trials().set_index("trial")
    assert sorted(after.index) == sorted(before["trial"])
    assert after.loc[trial, "outcome"] == "completed"
    assert trial in set(ledger.starts()["trial"]) and trial in set(ledger.results()["trial"])
    later = after.loc[trial, "sequence"]
    assert later > before["sequence"].max()
