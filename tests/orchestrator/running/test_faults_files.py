"""Damages or changes files between a kill and a resume, and checks what the resume does."""

import shutil

import pytest

from tests.support.faults import REPORTS, SWEEP, TWO_AT_ONCE, Place, kill, waiting
from trainables import checkpoints
from trainables.trial import Trial

LIMIT = 14
OTHER = {**TWO_AT_ONCE, "training": {**SWEEP["training"], "batch_size": 4}}


@pytest.mark.slow
def test_damaged_checkpoints_are_set_aside_and_change_no_number(tmp_path, store, monkeypatch):
    """The sweep file is changed, too; a resume by the sweep's name does not read it."""
    with Place(tmp_path / "hit", store, **TWO_AT_ONCE) as place:
        planned = [*place.plan.trials()]
        place.limit(LIMIT)
        process = place.start("run", "hit.yaml")
        truncated, garbage = waiting(place, process, 0, LIMIT)
        kill(place.family(process))
        process.wait()
        place.write(**OTHER)
        folders = [place.paths.checkpoints_of(trial) for trial in (truncated, garbage)]
        newest, before = (each.path.name for each in checkpoints.listed(folders[0]))
        content = (folders[0] / newest).read_bytes()
        (folders[0] / newest).write_bytes(content[: len(content) // 2])
        (folders[1] / newest).write_bytes(b"garbage" * 100)
        shutil.copy(folders[0] / before, folders[1] / before)  # intact, but of another trial

        since = place.steps()
        place.limit(None)
        output = place.call("resume", "hit").replace("\n", " ")
        for folder, name in ((0, newest), (1, newest), (1, before)):
            checkpoint = f"results/hit/checkpoints/{(truncated, garbage)[folder]}/{name}"
            assert f"{checkpoint}: not a checkpoint that can be used" in output
        assert output.count("set aside as _damaged-step-") == 3
        assert "it is of another trial" in output
        trained = place.trained(since)
        assert trained[truncated] == [*range(LIMIT - 1, 24)]
        assert trained[garbage] == [*range(24)]
        place.assert_nothing_is_doubled()
        assert sorted(place.reports()) == sorted((t, s) for t in trained for s in REPORTS)
        # Train the same trials without Ray and without an interruption.
        monkeypatch.chdir(place.folder)
        recorded = place.ledger.results(["objective", "training_loss", "evaluation_loss"])
        for planned_trial in planned:
            trial = Trial(config={"definition": planned_trial.definition})
            for row in recorded[recorded["trial"] == planned_trial.id].itertuples():
                result = trial.train()
                for name in ("step", "objective", "training_loss", "evaluation_loss"):
                    assert result[name] == getattr(row, name)


@pytest.mark.slow
def test_a_sweep_file_that_is_edited_during_a_run_is_checked_against_the_recorded_sweep(
    tmp_path, store
):
    more = {**TWO_AT_ONCE, "search": {**TWO_AT_ONCE["search"], "samples": 6}}
    with Place(tmp_path / "hit", store, **TWO_AT_ONCE) as place:
        place.limit(LIMIT)
        process = place.start("run", "hit.yaml")
        begun = waiting(place, process, 0, LIMIT)
        place.write(**OTHER)
        place.limit(None)
        place.ended(process, 0)  # the run goes on with the file that it has read
        assert len(place.trials()) == 4 and set(begun) <= place.trained().keys()
        record = place.paths.manifest.read_text()
        rows, trained = place.ended_trials(), place.steps()

        for command in (("run",), ("resume",), ("extend",)):
            output = place.call(*command, "hit.yaml", code=2)
            assert output.startswith("results/hit holds another sweep called 'hit': ")
            assert "training.batch_size was 8 and is 4 in the file" in output
        place.write(**more)
        for command in (("run",), ("resume",)):
            output = place.call(*command, "hit.yaml", code=2)
            assert output.startswith("results/hit holds a smaller sweep 'hit': ")
            assert "search.samples was 4 and is 6 in the file" in output
            assert "soundings extend" in output
        assert place.paths.manifest.read_text() == record
        assert "Nothing was run." in place.call(
            "resume", "hit"
        )  # by its name, the sweep is what ran

        place.write(**{**more, "depths": [1, 2]})
        place.call("extend", "hit.yaml")
        place.assert_nothing_is_doubled()
        after = place.ended_trials()
        assert after.items() >= rows.items() and len(after) == 12
        new = after.keys() - rows.keys()
        assert place.trained(trained) == {trial: [*range(24)] for trial in new}
        assert place.status()["state"] == "complete"
