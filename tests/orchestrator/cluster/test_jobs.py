"""Commands refuse a job server that they cannot use; tests/cluster tests usable ones."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import ray

from orchestrator.cli import submitted
from orchestrator.cluster import auth
from orchestrator.cluster.jobs import sweep_id
from orchestrator.errors import BadInput
from tests.support.command import soundings
from tests.support.small import small_file

TOKEN = "the token"


class Server:
    """Answers as a Ray cluster's dashboard does."""

    def __init__(self, mode="token", version=ray.__version__, jobs=(), text=None, refusal=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                authorization = self.headers.get("Authorization")
                if text is not None:
                    return self.answer(200, text)
                if self.path == "/api/authentication_mode":
                    return self.answer(200, json.dumps({"authentication_mode": mode}))
                if mode == "token" and authorization != f"Bearer {TOKEN}":
                    return self.answer(403 if authorization else 401, "Unauthorized")
                if self.path == "/api/version":
                    content = {"ray_version": version, "version": "4", "ray_commit": "x"}
                    return self.answer(200, json.dumps(content))
                if self.path.startswith("/api/packages"):
                    return self.answer(404, "")
                return self.answer(200, json.dumps(list(jobs)))

            def do_PUT(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(500, refusal)

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
def folder(monkeypatch, tmp_path):
    """Return the folder of a user who has a sweep file and no token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (auth.TOKEN, auth.TOKEN_PATH, auth.MODE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    small_file(tmp_path)
    return tmp_path


def error_of(folder, *arguments, code=2):
    done = soundings(*arguments, cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def submit(folder, address, *more, code=2):
    return error_of(folder, "submit", "small.yaml", "--address", address, *more, code=code)


def test_submit_without_a_token_or_with_a_wrong_one_is_refused(folder, monkeypatch):
    with Server() as server:
        assert "the cluster asks for its token: make a token with" in submit(folder, server.address)
        monkeypatch.setenv(auth.TOKEN, "another")
        refused = submit(folder, server.address)
        assert "the cluster refuses this token; pass the one that its hosts" in refused
        assert "another" not in refused and len(refused.splitlines()) == 1


def test_submit_to_a_cluster_with_another_version_of_ray_is_refused(folder, monkeypatch):
    monkeypatch.setenv(auth.TOKEN, TOKEN)
    with Server(version="2.40.0") as server:
        error = submit(folder, server.address)
        assert f"has Ray 2.40.0, but here is Ray {ray.__version__}; install the same" in error


def test_a_cluster_that_asks_for_no_token_needs_insecure(folder):
    with Server(mode="disabled", version="2.40.0") as server:
        assert "go on with --insecure" in submit(folder, server.address)
        error = submit(folder, server.address, "--insecure")  # is refused for the next reason
        assert "the cluster asks for no token: whoever reaches its ports" in error
        assert "has Ray 2.40.0" in error


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
def test_submit_refuses_an_address_without_a_job_server(folder, address, wrong):
    error = submit(folder, address)
    assert wrong in error and "secret" not in error


def test_submit_finds_a_package_outside_the_working_directory(folder, tmp_path):
    package = tmp_path / "elsewhere" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from trainables.architectures.vanilla import RNN as Net")
    small_file(folder, architectures=["mine:Net"])
    away = "http://127.0.0.1:1"
    assert "no answer" in submit(folder, away, "--package", "elsewhere/mine")
    assert "mine" in submit(folder, away) and "no answer" not in submit(folder, away)


def test_status_reports_a_nonsensical_answer_of_the_cluster_in_a_sentence(folder, monkeypatch):
    monkeypatch.setenv(auth.TOKEN, TOKEN)
    with Server(jobs=[{"type": "nonsense"}]) as server:
        error = error_of(folder, "status", "mine-123456", "--address", server.address, code=1)
        assert error.startswith(server.address) and "what is at work there goes on" in error


def test_submit_and_extend_ignore_the_tracking_uri_in_the_environment(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/x")
    for command in ("submit", "extend"):
        error = error_of(folder, command, "small.yaml", "--address", "http://127.0.0.1:1")
        assert "no answer from a Ray cluster there" in error


def test_resume_of_a_submitted_sweep_refuses_a_results_folder(folder):
    error = error_of(
        folder, "resume", "a-123456", "--address", "http://a:1", "--results", "/elsewhere"
    )
    assert "--results: a sweep that was submitted goes on where it began" in error


def test_submit_refuses_an_address_where_another_server_answers(folder):
    with Server(text="<html>hello</html>") as server:
        assert "what answers there is no job server of Ray" in submit(folder, server.address)


@pytest.mark.parametrize("text", ["[]", "7", "null", '"token"'])
def test_submit_refuses_an_address_where_another_json_server_answers(folder, text):
    with Server(text=text) as server:
        assert "what answers there is no job server of Ray" in submit(folder, server.address)


def test_a_proxy_is_not_asked_for_this_machine_and_named_for_others(folder, monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Server(mode="disabled", version="2.40.0") as server:
        assert "has Ray 2.40.0" in submit(folder, server.address, "--insecure")
    refused = submit(folder, "http://192.0.2.1:8265")
    assert "no answer from a Ray cluster there" in refused
    assert "through the proxy that HTTP_PROXY names; to ask it directly, put 192.0.2.1" in refused


@pytest.mark.parametrize(
    ("refusal", "shown"),
    [
        (
            'Traceback (most recent call last):\n  File "job_head.py", line 1\n    read()\n'
            "aiohttp.HTTPRequestEntityTooLarge: Request Entity Too Large\n",
            "status code 500: aiohttp.HTTPRequestEntityTooLarge: Request Entity Too Large",
        ),
        (
            "<!DOCTYPE html>\n<html><title>502 Bad\nGateway</title><body>nginx</body></html>",
            "status code 500: a page of HTML, '502 Bad Gateway'",
        ),
    ],
)
def test_the_refusal_of_a_job_server_is_one_sentence(folder, refusal, shown):
    with Server(mode="disabled", refusal=refusal) as server:
        error = submit(folder, server.address, "--insecure", "--results", "/r", code=1)
    assert error.endswith(shown)
    assert (
        len(error.splitlines()) == 2
    )  # the first is the warning that any cluster of this kind gets


def test_a_package_that_is_too_large_is_refused_before_a_server_is_asked(folder):
    (folder / "mine").mkdir()
    (folder / "mine/__init__.py").touch()
    with (folder / "mine/weights.bin").open("wb") as file:
        file.truncate(101 * 1024**2)
    away, files = "http://127.0.0.1:1", {"package": folder / "mine", "insecure": False}
    with pytest.raises(BadInput, match=r"101\.0 MB would go with the job"):
        submitted.resume(away, "a-123456", options=[], **files)
    where = {"results": folder, "mlflow": None, "small": False}
    with pytest.raises(BadInput, match=r"101\.0 MB would go with the job"):
        submitted.submit(away, folder / "small.yaml", verb="run", **where, **files)


def test_commands_on_a_sweep_that_the_cluster_does_not_know_are_refused(folder, monkeypatch):
    monkeypatch.setenv(auth.TOKEN, TOKEN)
    job = {
        "type": "SUBMISSION",
        "submission_id": "other-123456.1",
        "status": "RUNNING",
        "entrypoint": "x",
        "metadata": {"soundings": "other-123456", "sweep": "other", "results": "/r"},
    }
    with Server(jobs=[job]) as server:
        for command in ("status", "stop", "resume", "logs"):
            error = error_of(folder, command, "mine-654321", "--address", server.address)
            assert "knows no sweep 'mine-654321' (it knows other-123456)" in error
        done = soundings("status", "--address", server.address, cwd=folder)
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
def test_submit_refuses_options_that_a_job_cannot_use(folder, arguments, wrong):
    error = submit(folder, "http://127.0.0.1:1", *arguments)
    assert wrong in error and "secret" not in error


def test_run_refuses_the_address_of_a_job_server(folder):
    error = error_of(folder, "run", "small.yaml", "--address", "http://127.0.0.1:8265")
    assert "send the sweep there with 'soundings submit'" in error


def test_the_id_of_a_sweep_depends_on_its_name_and_its_results_folder():
    assert sweep_id("mine", "s3://a/b") == sweep_id("mine", "s3://a/b")
    assert sweep_id("mine", "s3://a/b") != sweep_id("mine", "s3://a/c")
    assert sweep_id("mine", "x").startswith("mine-") and len(sweep_id("mine", "x")) == 11
