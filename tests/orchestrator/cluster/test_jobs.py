"""What is said of a job server that cannot be used; tests/cluster has those that can."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import ray

from orchestrator.cluster import auth
from orchestrator.cluster.jobs import sweep_id
from tests.support.command import soundings
from tests.support.small import small_file

TOKEN = "the token"


class Server:
    """Answers as a Ray cluster's dashboard does."""

    def __init__(self, mode="token", version=ray.__version__, jobs=(), text=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                given = self.headers.get("Authorization")
                if text is not None:
                    return self.answer(200, text)
                if self.path == "/api/authentication_mode":
                    return self.answer(200, json.dumps({"authentication_mode": mode}))
                if mode == "token" and given != f"Bearer {TOKEN}":
                    return self.answer(403 if given else 401, "Unauthorized")
                if self.path == "/api/version":
                    found = {"ray_version": version, "version": "4", "ray_commit": "x"}
                    return self.answer(200, json.dumps(found))
                return self.answer(200, json.dumps(list(jobs)))

            def answer(self, status, body):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A user's machine without a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (auth.TOKEN, auth.TOKEN_PATH, auth.MODE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    small_file(tmp_path)
    return tmp_path


def said(here, *arguments, code=2):
    done = soundings(*arguments, cwd=here)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def submit(here, address, *more, code=2):
    return said(here, "submit", "small.yaml", "--address", address, *more, code=code)


def test_no_token_and_a_wrong_one(here, monkeypatch):
    with Server() as server:
        assert "the cluster asks for its token: make a token with" in submit(here, server.address)
        monkeypatch.setenv(auth.TOKEN, "another")
        refused = submit(here, server.address)
        assert "the cluster refuses this token; pass the one that its hosts" in refused
        assert "another" not in refused and len(refused.splitlines()) == 1


def test_a_cluster_of_another_version(here, monkeypatch):
    monkeypatch.setenv(auth.TOKEN, TOKEN)
    with Server(version="2.40.0") as server:
        found = submit(here, server.address)
        assert f"has Ray 2.40.0, but here is Ray {ray.__version__}; install the same" in found


def test_a_cluster_that_asks_for_no_token_needs_insecure(here):
    with Server(mode="disabled", version="2.40.0") as server:
        assert "go on with --insecure" in submit(here, server.address)
        found = submit(here, server.address, "--insecure")  # goes on to the next mistake
        assert "the cluster asks for no token: whoever reaches its ports" in found
        assert "has Ray 2.40.0" in found


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("127.0.0.1:8265", "no job server; write its URL"),
        ("htp://127.0.0.1:8265", "no job server; write its URL"),
        ("http://127.0.0.1:1", "no answer from a Ray cluster there"),
        ("ray://127.0.0.1:10001", "no job server; write its URL"),
        ("http://[::1", "no job server; write its URL"),
        ("http://me:secret@127.0.0.1:1", "no job server; write its URL"),
    ],
)
def test_an_address_that_is_none(here, address, wrong):
    found = submit(here, address)
    assert wrong in found and "secret" not in found


def test_a_package_that_goes_with_a_sweep_is_found_wherever_it_lies(here, tmp_path):
    package = tmp_path / "elsewhere" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from trainables.architectures.vanilla import RNN as Net")
    small_file(here, architectures=["mine:Net"])
    away = "http://127.0.0.1:1"
    assert "no answer" in submit(here, away, "--package", "elsewhere/mine")
    assert "mine" in submit(here, away) and "no answer" not in submit(here, away)


def test_a_cluster_that_breaks_off_is_a_sentence(here, monkeypatch):
    monkeypatch.setenv(auth.TOKEN, TOKEN)
    with Server(jobs=[{"type": "nonsense"}]) as server:
        found = said(here, "status", "mine-123456", "--address", server.address, code=1)
        assert found.startswith(server.address) and "what is at work there goes on" in found


def test_the_environment_of_this_machine_is_not_that_of_the_head(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/x")
    for command in ("submit", "extend"):
        found = said(here, command, "small.yaml", "--address", "http://127.0.0.1:1")
        assert "no answer from a Ray cluster there" in found


def test_a_sweep_that_was_submitted_goes_on_where_it_began(here):
    found = said(here, "resume", "a-123456", "--address", "http://a:1", "--results", "/elsewhere")
    assert "--results: a sweep that was submitted goes on where it began" in found


def test_something_else_answers(here):
    with Server(text="<html>hello</html>") as server:
        assert "what answers there is no job server of Ray" in submit(here, server.address)


def test_a_sweep_that_the_cluster_does_not_know(here, monkeypatch):
    monkeypatch.setenv(auth.TOKEN, TOKEN)
    known = {
        "type": "SUBMISSION",
        "submission_id": "other-123456.1",
        "status": "RUNNING",
        "entrypoint": "x",
        "metadata": {"soundings": "other-123456", "sweep": "other", "results": "/r"},
    }
    with Server(jobs=[known]) as server:
        for command in ("status", "stop", "resume", "logs"):
            found = said(here, command, "mine-654321", "--address", server.address)
            assert "knows no sweep 'mine-654321' (it knows other-123456)" in found
        done = soundings("status", "--address", server.address, cwd=here)
        assert done.stdout == "Sweep 'other-123456': job other-123456.1 running\n"


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--results", "mine"], "a job runs on the cluster's head; name a folder there"),
        (["--results", "results"], "a job runs on the cluster's head; name a folder there"),
        (["--mlflow", "postgresql://me:secret@db/x"], "put the tracking URI with its password"),
        (["--mlflow", "postgresql://db/x?password=secret"], "put the tracking URI with its"),
        (["--package", "small.yaml"], "neither a folder with an __init__.py nor a module"),
        (["--package", "nowhere"], "neither a folder with an __init__.py nor a module"),
    ],
)
def test_what_cannot_go_with_a_job(here, arguments, wrong):
    found = submit(here, "http://127.0.0.1:1", *arguments)
    assert wrong in found and "secret" not in found


def test_run_takes_no_job_server(here):
    found = said(here, "run", "small.yaml", "--address", "http://127.0.0.1:8265")
    assert "send the sweep there with 'soundings submit'" in found


def test_an_id_is_of_the_name_and_of_the_place():
    assert sweep_id("mine", "s3://a/b") == sweep_id("mine", "s3://a/b")
    assert sweep_id("mine", "s3://a/b") != sweep_id("mine", "s3://a/c")
    assert sweep_id("mine", "x").startswith("mine-") and len(sweep_id("mine", "x")) == 11
