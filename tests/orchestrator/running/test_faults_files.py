"""Files that are damaged or changed between a kill and a resume."""

import shutil

import pytest

from tests.support.faults import REPORTS, SWEEP, TWO_AT_ONCE, Place, kill, waiting
from trainables.trial import Trial

LIMIT = 14
OTHER = {**TWO_AT_ONCE, "training": {**SWEEP["training"], "batch_size": 4}}


@pytest.mark.slow
def test_damaged_checkpoints_are_set_aside_and_change_no_number(tmp_path, store, monkeypatch):
    """Nor does the sweep file, which is changed: the sweep is completed by its name."""
    with Place(tmp_path / "hit", store, **TWO_AT_ONCE) as place:
        planned = [*place.plan.trials()]
        place.limit(LIMIT)
        process = place.start("run", "hit.yaml")
        truncated, garbage = waiting(place, process, 0, LIMIT)
        kill(place.family(process))
        process.wait()
        place.write(**OTHER)
        folders = [place.paths.checkpoints_of(trial) for trial in (truncated, garbage)]
        newest, before = (f"step-{step:012d}.pt" for step in (LIMIT, LIMIT - 1))
        whole = (folders[0] / newest).read_bytes()
        (folders[0] / newest).write_bytes(whole[: len(whole) // 2])
        (folders[1] / newest).write_bytes(b"garbage" * 100)
        shutil.copy(folders[0] / before, folders[1] / before)  # whole, but another trial's

        since = place.steps()
        place.limit(None)
        said = place.call("resume", "hit").replace("\n", " ")
        for folder, name in ((0, newest), (1, newest), (1, before)):
            where = f"results/hit/checkpoints/{(truncated, garbage)[folder]}/{name}"
            assert f"{where}: not a checkpoint that can be used" in said
        assert said.count("set aside as _damaged-step-") == 3
        assert "it is of another trial" in said
        trained = place.trained(since)
        assert trained[truncated] == [*range(LIMIT - 1, 24)]
        assert trained[garbage] == [*range(24)]
        place.assert_nothing_is_doubled()
        assert sorted(place.reports()) == sorted((t, s) for t in trained for s in REPORTS)
        # The same training without Ray, in one go.
        monkeypatch.chdir(place.folder)
        seen = place.ledger.results(["objective", "training_loss", "evaluation_loss"])
        for one in planned:
            trial = Trial(config={"definition": one.definition})
            for row in seen[seen["trial"] == one.id].itertuples():
                result = trial.train()
                for name in ("step", "objective", "training_loss", "evaluation_loss"):
                    assert result[name] == getattr(row, name)


@pytest.mark.slow
def test_a_file_that_is_edited_mid_run_is_held_against_the_record(tmp_path, store):
    more = {**TWO_AT_ONCE, "search": {**TWO_AT_ONCE["search"], "samples": 6}}
    with Place(tmp_path / "hit", store, **TWO_AT_ONCE) as place:
        place.limit(LIMIT)
        process = place.start("run", "hit.yaml")
        begun = waiting(place, process, 0, LIMIT)
        place.write(**OTHER)
        place.limit(None)
        place.ended(process, 0)  # it goes on with what it has read
        assert len(place.trials()) == 4 and set(begun) <= place.trained().keys()
        record = place.paths.manifest.read_text()
        rows, trained = place.ended_trials(), place.steps()

        for command in (("run",), ("resume",), ("extend",)):
            said = place.call(*command, "hit.yaml", code=2)
            assert said.startswith("results/hit holds another sweep called 'hit': ")
            assert "training.batch_size was 8 and is 4 in the file" in said
        place.write(**more)
        for command in (("run",), ("resume",)):
            said = place.call(*command, "hit.yaml", code=2)
            assert said.startswith("results/hit holds a smaller sweep 'hit': ")
            assert "search.samples was 4 and is 6 in the file" in said
            assert "soundings extend" in said
        assert place.paths.manifest.read_text() == record
        assert "Nothing was run." in place.call("resume", "hit")  # what it was when it ran

        place.write(**{**more, "depths": [1, 2]})
        place.call("extend", "hit.yaml")
        place.assert_nothing_is_doubled()
        after = place.ended_trials()
        assert after.items() >= rows.items() and len(after) == 12
        new = after.keys() - rows.keys()
        assert place.trained(trained) == {trial: [*range(24)] for trial in new}
        assert place.status()["state"] == "complete"
