"""What `resume --fresh` forgets, and that nothing is forgotten with it."""

from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.plan.remaining import TrialSelection
from tests.support.studies import Folder, completed, errored, subtracted


def test_a_trial_that_starts_over_does_not_get_numbers_that_a_file_stands_for(tmp_path):
    """Of the rows that are forgotten one was the last of all: the file that lacks them now is
    named by its number still, and a file with the same number would count as merged into it.
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
    writer = LedgerWriter(folder.paths.ledger, left.record.sequence)
    writer.add("starts", cell, {"trial": trial, "index": 2})
    writer.add("results", cell, {"trial": trial, "step": 4})
    writer.add("trials", cell, {"trial": trial, "index": 2, "outcome": "completed"})
    writer.flush()

    LedgerWriter(folder.paths.ledger)  # it clears away what a merged file stands for
    after = ledger.trials().set_index("trial")
    assert sorted(after.index) == sorted(before["trial"])
    assert after.loc[trial, "outcome"] == "completed"
    assert trial in set(ledger.starts()["trial"]) and trial in set(ledger.results()["trial"])
    assert left.record.sequence > before["sequence"].max()
