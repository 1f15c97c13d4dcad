"""Stops running sweeps in several ways, and resumes them from their checkpoints."""

import fcntl
import os
import pty
import signal
import socket
import termios

import pytest

from tests.support.faults import REPORTS, TWO_AT_ONCE, Place, kill, waiting


def assert_complete(place, begun, since, first):
    """Assert that all four trials completed, and that begun ones went on from their checkpoints."""
    place.assert_nothing_is_doubled()
    trained = place.trained(since)
    assert len(trained) == len(place.trials()) == 4
    for trial, steps in trained.items():
        assert steps == [*range(first if trial in begun else 0, 24)]
    assert sorted(place.reports()) == sorted((trial, s) for trial in trained for s in REPORTS)
    status = place.status()
    assert (status["state"], status["completed"]) == ("complete", 4)
    assert status["checkpoints_bytes"] == 0


@pytest.mark.slow
def test_a_sweep_that_is_stopped_ends_cleanly_and_goes_on_from_its_checkpoints(tmp_path, store):
    """The sweep is stopped by Ctrl-C in a terminal, then by SIGTERM, then by `soundings stop`."""
    with Place(tmp_path / "hit", store, **TWO_AT_ONCE) as place:
        leader, follower = pty.openpty()
        place.limit(6)
        process = place.start(
            "run",
            "hit.yaml",
            stdin=follower,
            preexec_fn=lambda: fcntl.ioctl(follower, termios.TIOCSCTTY, 0),
        )
        begun = waiting(place, process, 0, 6)
        assert_status_shows_running_trials(place, process)
        assert_second_run_is_refused(place, process)
        os.write(leader, b"\x03")  # the terminal sends SIGINT to Ray's processes too
        assert "Ending the sweep; Ctrl-C again tears it off." in ended(place, process)
        for end in (leader, follower):
            os.close(end)
        assert_status_shows_begun_trials(place, begun)
        assert place.call("stop", "hit") == "No run of sweep 'hit' is at work.\n"

        since = place.steps()
        place.limit(10)
        process = place.start("resume", "hit")
        assert waiting(place, process, 6, 10, since) == begun
        process.send_signal(signal.SIGTERM)
        output = ended(place, process)
        assert "2 begun; starting Ray" in output and "*** SIGTERM" not in output

        since = place.steps()
        place.limit(14)
        process = place.start("resume", "hit")
        assert waiting(place, process, 10, 14, since) == begun
        output = place.call("stop", "hit")
        assert output.startswith("Sweep 'hit' has ended. Go on with: ")
        assert output.endswith(" resume hit\n")
        assert "Ending the sweep, as 'soundings stop' asks." in ended(place, process)

        since = place.steps()
        place.limit(None)
        place.call("resume", "hit")
        assert_complete(place, begun, since, first=14)
        # The seconds of a report are those of its own steps, in whichever process they ran.
        seconds = place.ledger.results(["seconds"])["seconds"]
        assert (seconds > 4 * 0.06).mean() > 0.5


def ended(place, process):
    """Wait for the clean end of a run that was stopped; return its output."""
    place.ended(process, 1)
    output = place.said(process)
    *_, last = output.strip().splitlines()
    assert last.startswith("interrupted; everything recorded is in results/hit/ledger. Go on with")
    assert last.endswith(" resume hit")
    assert "Traceback" not in output
    place.gone(process)
    return output


def assert_status_shows_running_trials(place, process):
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


def assert_status_shows_begun_trials(place, begun):
    status = place.status()
    assert (status["state"], status["run"]) == ("unfinished", None)
    assert (status["running"], status["completed"], status["planned"]) == (0, 0, 4)
    assert status["checkpoints_bytes"] > 0
    assert sorted(path.name for path in place.paths.checkpoints.iterdir()) == begun


@pytest.mark.slow
def test_resume_takes_over_the_lock_of_a_killed_run_and_ignores_its_stop_request(tmp_path, store):
    """The lock is free at once, even while other processes of the killed run still exist."""
    with Place(tmp_path / "hit", store, **TWO_AT_ONCE) as place:
        place.limit(14)
        process = place.start("run", "hit.yaml")
        begun = waiting(place, process, 0, 14)
        for member in place.family(process):  # none of them can end by itself
            member.suspend()
        asking = place.start("stop", "hit")
        place.until(place.paths.stop_request.exists, asking)
        kill([process])
        process.wait()
        place.ended(asking, 0)
        status = place.status()
        assert (status["state"], status["run"], status["running"]) == ("unfinished", None, 0)
        since = place.steps()
        place.limit(None)
        place.call("resume", "hit")  # the killed run was asked to stop, not this one
        assert_complete(place, begun, since, first=14)


@pytest.mark.slow
def test_ctrl_c_while_a_run_starts_ray_ends_it_and_names_the_command_that_resumes_it(
    tmp_path, store
):
    with Place(tmp_path / "hit", store, **TWO_AT_ONCE) as place:
        process = place.start("run", "hit.yaml")
        place.until(lambda: "starting Ray" in place.said(process), process)
        process.send_signal(signal.SIGINT)
        place.ended(process, 1)
        output = place.said(process)
        *_, last = output.strip().splitlines()
        assert last.startswith(("interrupted; everything", "torn off; everything"))
        assert last.endswith(" resume hit")
        assert "Traceback" not in output
        place.gone(process)
