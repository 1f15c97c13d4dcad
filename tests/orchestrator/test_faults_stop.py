"""A sweep that is asked to end, and goes on later from where it was."""

import fcntl
import os
import pty
import signal
import socket
import termios

import pytest

from tests.orchestrator.faults_tools import Place, kill

# Two trials train side by side up to a step between two reports and wait there.
WAIT_AT = 14
WAITING = {
    "architectures": ["rnn"],
    "tasks": [{"name": "own:Watched", "options": {"pause": 0.06, "wait_at": WAIT_AT}}],
    "search": {
        "samples": 4,
        "space": {"trouble": "none", "learning_rate": {"low": 1e-3, "high": 1e-2}},
    },
    "resources": {"cpus": (os.cpu_count() or 1) / 2},
}
REPORTS = [4, 8, 12, 16, 20, 24]


def waiting(place, process, step=WAIT_AT):
    """Wait until two trials wait; returns them, each with the steps that it trained."""
    place.until(lambda: [*place.trained().values()] == [[*range(step + 1)]] * 2, process)
    place.until(lambda: len(place.reports()) == 2 * (step // 4), process)
    return place.trained()


def assert_whole_and_not_trained_again(place, begun, since, first=WAIT_AT):
    """All trials are there, and those that had begun went on from their last checkpoints."""
    place.assert_nothing_is_doubled()
    trained = place.trained(since)
    assert len(trained) == len(place.trials()) == 4
    for trial, steps in trained.items():
        assert steps == [*range(first if trial in begun else 0, 24)]
    assert sorted(place.reports()) == sorted((trial, s) for trial in trained for s in REPORTS)
    # The seconds of a report are what training and evaluation took, whoever trained.
    seconds = place.ledger.results(["seconds"]).set_index(["trial", "step"])["seconds"]
    for trial in begun:
        assert seconds[trial, 4] > 4 * 0.06 and seconds[trial, 20] > 4 * 0.06
    assert place.status()["state"] == "complete"
    assert place.status()["checkpoints_bytes"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl-c in a terminal", "SIGTERM", "soundings stop"])
def test_a_sweep_that_is_stopped_ends_cleanly_and_goes_on_from_its_checkpoints(
    tmp_path, store, how
):
    leader, follower = pty.openpty()
    with Place(tmp_path / "hit", store, **WAITING) as place, os.fdopen(leader, "wb", 0) as keys:
        process = place.start(
            "run",
            "hit.yaml",
            stdin=follower,
            preexec_fn=lambda: fcntl.ioctl(follower, termios.TIOCSCTTY, 0),
        )
        os.close(follower)
        begun = waiting(place, process)
        assert_status_says_what_runs(place, process)
        assert_second_run_is_refused(place, process)
        if how == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        elif how == "soundings stop":
            said = place.call("stop", "hit")
            assert said.startswith("Sweep 'hit' has ended. Go on with: ")
            assert said.endswith(" resume hit\n")
        else:
            keys.write(b"\x03")  # the terminal sends SIGINT to Ray's processes too
        place.ended(process, 1)
        said = place.said(process)
        *_, last = said.strip().splitlines()
        assert last.startswith("interrupted; everything recorded is in results/hit/ledger. Go on")
        assert last.endswith(" resume hit")
        assert "Traceback" not in said and "*** SIGTERM" not in said
        assert ("as 'soundings stop' asks" if how == "soundings stop" else "Ctrl-C again") in said
        place.gone(process)

        status = place.status()
        assert (status["state"], status["run"]) == ("unfinished", None)
        assert (status["running"], status["completed"], status["planned"]) == (0, 0, 4)
        assert status["checkpoints_bytes"] > 0
        assert sorted(p.name for p in place.paths.checkpoints.iterdir()) == sorted(begun)
        assert place.call("stop", "hit") == "No run of sweep 'hit' is at work.\n"

        since = place.steps()
        (place.folder / "go-on").touch()
        assert "2 begun" in place.call("resume", "hit")
        assert_whole_and_not_trained_again(place, begun, since)


def assert_status_says_what_runs(place, process):
    status = place.status()
    assert status["state"] == "running"
    assert (status["run"]["host"], status["run"]["pid"]) == (socket.gethostname(), process.pid)
    assert (status["running"], status["planned"], status["completed"]) == (2, 4, 0)
    (cell,) = status["cells"]
    assert (cell["running"], cell["done"], cell["cell"]) == (2, 0, place.plan.cells[0].id)
    assert status["ledger_bytes"] > 0 and status["checkpoints_bytes"] > 0


def assert_second_run_is_refused(place, process):
    for command in (("run", "hit.yaml"), ("resume", "hit")):
        assert place.call(*command, code=2) == (
            f"results/hit: another run of this sweep is at work (process {process.pid} on "
            f"{socket.gethostname()}); wait for it, or end it with 'soundings stop'\n"
        )


def test_the_lock_of_a_killed_run_is_taken_over_at_once(tmp_path, store):
    """Not when what it has left behind is gone as well: that may take a while."""
    with Place(tmp_path / "hit", store, **WAITING) as place:
        process = place.start("run", "hit.yaml")
        begun = waiting(place, process)
        left = place.family(process)
        for one in left:  # none of them can end by itself
            if one.pid != process.pid:
                one.suspend()
        kill([process])
        process.wait()
        status = place.status()
        assert (status["state"], status["run"], status["running"]) == ("unfinished", None, 0)
        assert place.call("stop", "hit") == "No run of sweep 'hit' is at work.\n"
        since = place.steps()
        (place.folder / "go-on").touch()
        place.call("resume", "hit")
        assert_whole_and_not_trained_again(place, begun, since)


def test_ctrl_c_while_it_starts_and_twice_still_says_how_to_go_on(tmp_path, store):
    with Place(tmp_path / "hit", store, **WAITING) as place:
        process = place.start("run", "hit.yaml")
        place.until(lambda: "starting Ray" in place.said(process), process)
        process.send_signal(signal.SIGINT)
        place.ended(process, 1)
        said = place.said(process)
        *_, last = said.strip().splitlines()
        assert last.startswith(("interrupted; everything", "torn off; everything"))
        assert last.endswith(" resume hit")
        assert "Traceback" not in said
        place.gone(process)


def test_a_stop_that_was_asked_of_a_run_that_has_gone_stops_no_other(tmp_path, store):
    with Place(tmp_path / "hit", store, **WAITING) as place:
        (place.folder / "go-on").touch()
        process = place.start("run", "hit.yaml")
        place.until(lambda: place.steps() > 10, process)
        process.send_signal(signal.SIGSTOP)
        asking = place.start("stop", "hit")
        place.until(place.paths.stop_request.exists, asking)
        kill([process])
        process.wait()
        place.ended(asking, 0)
        place.call("resume", "hit")
        assert len(place.trials()) == 4
