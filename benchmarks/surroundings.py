"""Runs commands in random surroundings and checks that each ends well or with one sentence.

Surroundings are environment variables, limits, folders, standard streams and signals. Each case
draws a few of them from its own seed, so ``--first N --count 1`` repeats case N alone. Ctrl-C ends
it early, and records the cases that have ended::

    python benchmarks/surroundings.py --count 2000 --write
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from recording import record

from orchestrator.ledger import Ledger

SOUNDINGS = str(Path(sys.executable).with_name("soundings"))
MARK = "SOUNDINGS_SURROUNDINGS"  # variable by which the processes of a case are found
SECONDS = 240  # longest time of a command
AFTERWARDS_SECONDS = 30  # time in which its processes have to be gone
SWEEP = """\
name: tiny
seed: 1
architectures: [rnn]
depths: [1]
tasks: [digits]
budgets: [300]
search: {method: random, samples: 2, space: {optimizer: adam, learning_rate: 1e-3}}
scheduler: none
training: {steps: 4, batch_size: 8, evaluation_interval: 2}
"""
# Commands and how often they are drawn; RESULTS and FILE are replaced.
COMMANDS = {
    ("list", "tasks"): 5,
    ("list", "architectures"): 5,
    ("list", "sweeps", "--results", "RESULTS"): 3,
    ("status", "--results", "RESULTS"): 6,
    ("status", "tiny", "--json", "--results", "RESULTS"): 6,
    ("status", "tiny", "--results", "RESULTS"): 4,
    ("plan", "FILE", "--results", "RESULTS"): 6,
    ("plan", "missing.yaml"): 2,
    ("--help",): 2,
    ("--version",): 2,
    ("stop", "tiny", "--results", "RESULTS"): 2,
    ("tables", "tiny", "--results", "RESULTS"): 1,
}
RUN = ("run", "FILE", "--results", "RESULTS")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NUMBERS = ["4,2", "2.0", "0", "-1", "abc", "", "16", "99999999999999999999", " 2 ", "2,x"]
NAMES = ["a b", "a'b", 'a"b', "a\nb", "a%20b", "a#b", "a?b", "a&b", "ä", "语", "a\udcffb", "a*b"]
NAMES += ["a;b", "a$HOME", "-a", "a\\b", "~", "a:b", "a" * 200, "a{b}", "[a]", "a=b", "a`b"]
PLACES = ["/nonexistent", "/dev/null", "/dev/null/x", "relative", "", "/proc", "~nobody9/x", "/"]


@dataclass
class Case:
    """Holds the surroundings that a command gets.

    Attributes:
        number: number of the case, which is its seed.
        folder: folder of the case.
        random: its generator.
        variables: environment variables; None unsets one.
        before: functions that the new process calls before it becomes the command.
        streams: what happens to standard output and standard error: "pipe", "closed", "full", or
            "gone" for a reader that has gone.
        signal: signal that the command gets, and after how many seconds.
        cwd: folder in which the command is called, if it is not the case's.
        results: folder of the results, if it is odd.
        prefix: words of a command that calls the command.
        what: descriptions of all this.
    """

    number: int
    folder: Path
    random: random.Random
    variables: dict[str, str | None] = field(default_factory=dict)
    before: list[Callable[[], Any]] = field(default_factory=list)
    streams: dict[str, str] = field(default_factory=lambda: {"stdout": "pipe", "stderr": "pipe"})
    signal: tuple[int, float] | None = None
    cwd: Path | None = None
    results: str | None = None
    prefix: list[str] = field(default_factory=list)
    what: list[str] = field(default_factory=list)

    def set(self, name: str, value: str | None) -> None:
        """Set or unset a variable."""
        self.variables[name] = value
        self.what.append(f"{name}={value!r}" if value is not None else f"-{name}")

    def odd_folder(self, exists: float = 0.8) -> str:
        """Return the path of a folder with an odd name, which mostly exists."""
        path = self.folder / self.random.choice(NAMES)
        if self.random.random() < exists:
            path.mkdir(exist_ok=True)
        return str(path)

    def place(self) -> str:
        """Return a path that is odd in some way."""
        return self.odd_folder() if self.random.random() < 0.6 else self.random.choice(PLACES)


def threads(case: Case) -> None:
    """Draw a variable that libraries take their threads from."""
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"]
    names += ["NUMEXPR_NUM_THREADS", "OMP_THREAD_LIMIT", "OMP_DYNAMIC", "OMP_STACKSIZE"]
    case.set(case.random.choice(names), case.random.choice(NUMBERS))
    if case.random.random() < 0.2:
        case.set("OMP_PROC_BIND", case.random.choice(["true", "close", "spread", "odd"]))


def terminal(case: Case) -> None:
    """Draw a variable that describes the terminal or the language."""
    values = {
        "COLUMNS": ["0", "-1", "1", "abc", "", "7", "99999999", "100000000000"],
        "LINES": ["0", "-1", "1", "abc", "99999999"],
        "TERM": ["", "dumb", "xterm-256color", "odd", "a b"],
        "NO_COLOR": ["", "1"],
        "FORCE_COLOR": ["1", "0", ""],
        "TERMINAL_WIDTH": ["abc", "0", "-5", "60"],
        "LANG": ["C", "POSIX", "xx_YY", "de_DE.ISO-8859-1", "en_US.UTF-8", ""],
        "LC_ALL": ["C", "POSIX", "xx_YY.odd", "C.UTF-8", ""],
        "PYTHONIOENCODING": ["ascii", "latin-1", "utf-8", "ascii:strict", ":strict", "cp437"],
        "PYTHONUTF8": ["0", "1"],
        "PYTHONWARNINGS": ["error", "default", "odd", "error::DeprecationWarning", "ignore"],
        "PYTHONHASHSEED": ["0", "1", "random"],
        "PYTHONDONTWRITEBYTECODE": ["1"],
        "PYTHONUNBUFFERED": ["1"],
        "PYTHONOPTIMIZE": ["1", "2"],
        "TZ": ["odd", "abc:d", "Europe/Berlin", "", "UTC+99", ":/dev/null"],
    }
    name = case.random.choice([*values])
    case.set(name, case.random.choice(values[name]))


def user(case: Case) -> None:
    """Draw who the user seems to be and where he lives."""
    if case.random.random() < 0.4:
        case.set("HOME", None)
    else:
        case.set("HOME", case.place())
    for name in ("USER", "LOGNAME"):
        if case.random.random() < 0.4:
            case.set(name, case.random.choice([None, "", "odd name", "ä"]))
    if case.random.random() < 0.3:
        number = case.random.randrange(20_000, 60_000)
        case.what.append(f"user {number}, who has no name")
        # Another number in a namespace: the files are still those of this user, without root's
        # right to everything.
        case.prefix = ["unshare", "-U", f"--map-user={number}", f"--map-group={number}"]


def places(case: Case) -> None:
    """Draw a variable that names a folder."""
    names = ["TMPDIR", "TMP", "RAY_TMPDIR", "SOUNDINGS_CACHE", "SOUNDINGS_DATA", "XDG_CACHE_HOME"]
    names += ["XDG_CONFIG_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_RUNTIME_DIR"]
    names += ["TMPDIR", "RAY_TMPDIR"]
    case.set(case.random.choice(names), case.place())


def ray(case: Case) -> None:
    """Draw a variable that Ray or a library reads."""
    values = {
        "RAY_ADDRESS": ["10.1.2.3:6379", "auto", "ray://nowhere:10001", "local", "odd"],
        "RAY_AUTH_MODE": ["disabled", "token", "odd", ""],
        "RAY_AUTH_TOKEN": ["", "odd token"],
        "RAY_AUTH_TOKEN_PATH": ["/nonexistent", "/dev/null"],
        "RAY_JOB_CONFIG_JSON_ENV_VAR": ["{}", "odd"],
        "RAY_RUNTIME_ENV_HOOK": ["no.such", "odd"],
        "RAY_OVERRIDE_RESOURCES": ['{"CPU": 0}', "odd"],
        "RAY_NAMESPACE": ["a", "a b"],
        "RAY_USE_MULTIPROCESSING_CPU_COUNT": ["1"],
        "RAY_AIR_NEW_OUTPUT": ["1"],
        "TUNE_DISABLE_SIGINT_HANDLER": ["0"],
        "TUNE_MAX_PENDING_TRIALS_PG": ["odd", "0"],
        "TUNE_RESULT_BUFFER_LENGTH": ["10"],
        "CUDA_VISIBLE_DEVICES": ["", "-1", "0,1", "abc", "GPU-odd", "NoDevFiles", "99"],
        "MLFLOW_TRACKING_URI": ["", "odd://x"],
        "MLFLOW_EXPERIMENT_NAME": ["other"],
        "MLFLOW_RUN_ID": ["0123456789abcdef"],
        "KUBERNETES_SERVICE_HOST": ["10.0.0.1"],
        "SOUNDINGS_HOSTS_TO_COME": ["odd"],
        "SOUNDINGS_SWEEP": ["mine-3f2a91"],
    }
    name = case.random.choice([*values])
    case.set(name, case.random.choice(values[name]))


def limits(case: Case) -> None:
    """Draw a limit of the process, its cores or its umask."""
    kind, values = case.random.choice(
        [
            ("NOFILE", [64, 200, 1024]),
            ("FSIZE", [1 << 20, 64 << 20, 1 << 30]),
            ("CORE", [0]),
            ("AS", [8 << 30, 32 << 30]),
            ("STACK", [1 << 20]),
            ("umask", [0o777, 0o077, 0o277, 0o022]),
            ("cores", [1]),
        ]
    )
    value = case.random.choice(values)
    case.what.append(f"{kind} {value:o}" if kind == "umask" else f"{kind} {value}")
    if kind == "umask":
        case.before.insert(0, partial(os.umask, value))
    elif kind == "cores":
        case.before.insert(0, partial(os.sched_setaffinity, 0, {min(os.sched_getaffinity(0))}))
    else:
        soft = case.random.random() < 0.5
        number = getattr(resource, f"RLIMIT_{kind}")
        pair = (value, resource.getrlimit(number)[1] if soft else value)
        case.what[-1] += " soft" if soft else ""
        case.before.insert(0, partial(resource.setrlimit, number, pair))


def folders(case: Case) -> None:
    """Draw the folder in which the command is called, or that of the results."""
    if case.random.random() < 0.5:
        case.results = case.odd_folder()
        case.what.append(f"results {case.results!r}")
        return
    case.cwd = Path(case.odd_folder(1.0))
    case.what.append(f"cwd {case.cwd.name!r}")
    for module in ("numpy", "ray", "random", "torch", "trainables", "typer", "json"):
        if case.random.random() < 0.15:
            (case.cwd / f"{module}.py").write_text("raise SystemExit('hidden')\n")
            case.what.append(f"{module}.py")
    if case.random.random() < 0.15:
        case.before.append(partial(shutil.rmtree, case.cwd))
        case.what.append("which is gone")


def streams(case: Case) -> None:
    """Draw what happens to standard output and error."""
    for name in ("stdout", "stderr"):
        if case.random.random() < 0.6:
            case.streams[name] = case.random.choice(["closed", "full", "gone"])
            case.what.append(f"{name} {case.streams[name]}")


def signals(case: Case) -> None:
    """Draw a signal at a random moment."""
    number = case.random.choice(SIGNALS)
    case.signal = number, case.random.uniform(0.0, 8.0)
    case.what.append(f"{number.name} after {case.signal[1]:.2f} s")


KINDS = (threads, terminal, user, places, ray, limits, folders, streams, signals)


def drawn(number: int, folder: Path, template: Path, runs: float) -> tuple[Case, list[str], bool]:
    """Return a case, its command, and whether that is a run."""
    case = Case(number, folder, random.Random(number))
    is_run = case.random.random() < runs
    words = case.random.choices([*COMMANDS], [*COMMANDS.values()])[0]
    for kind in case.random.sample(KINDS, case.random.randint(1, 3)):
        kind(case)
    results = case.results
    if not is_run and results is not None and Path(results).is_dir():
        shutil.copytree(template / "tiny", Path(results) / "tiny")
    elif not is_run and results is None:
        results = str(folder / "results")
        shutil.copytree(template, results)
    elif results is None:
        results = str(folder / "results")
    replaced = {"RESULTS": results, "FILE": str(folder.parent / "tiny.yaml")}
    return case, [replaced.get(word, word) for word in (RUN if is_run else words)], is_run


def run_case(number: int, top: Path, runs: float) -> dict[str, Any]:
    """Run one case and return what came of it; its key ``trouble`` is empty if all is well."""
    folder = top / f"{number}"
    folder.mkdir()
    case, command, is_run = drawn(number, folder, top / "template", runs)
    environment = {**os.environ, MARK: f"{number}"}
    for name, value in case.variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    logs = {name: top / f"{number}.{name}" for name in case.streams}
    began = time.monotonic()
    process = subprocess.Popen(
        [*case.prefix, SOUNDINGS, *command],
        cwd=case.cwd or folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(_become, case, logs),
    )
    sent = _send(case, process)
    try:
        code: int | None = process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        code = None
    left = _left_over(number)
    texts = {name: path.read_text(errors="replace") for name, path in logs.items() if path.exists()}
    trouble = [*_trouble(case, command, code, sent, texts), *(["left " + left] if left else [])]
    if is_run and code == 0 and (trained := _completed(command)) != 2:
        trouble.append(f"{trained} of 2 trials completed")
    for path in logs.values():
        path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "case": number,
        "command": " ".join(command[:2]) if command[0] == "list" else command[0],
        "surroundings": case.what,
        "code": code,
        "seconds": round(time.monotonic() - began, 2),
        "trouble": trouble,
        "said": texts.get("stderr", "")[-2000:],
    }


def _become(case: Case, logs: dict[str, Path]) -> None:
    """Prepare a new process; it is called before the command replaces it."""
    for descriptor, (name, kind) in enumerate(case.streams.items(), 1):
        if kind == "closed":
            os.close(descriptor)
        elif kind == "gone":
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, descriptor)
            os.close(writer)
        else:
            path = "/dev/full" if kind == "full" else logs[name]
            target = os.open(path, os.O_WRONLY | os.O_CREAT)
            os.dup2(target, descriptor)
            os.close(target)
    for number in SIGNALS:  # whoever started this benchmark may ignore some
        signal.signal(number, signal.SIG_DFL)
    for function in case.before:
        function()


def _send(case: Case, process: subprocess.Popen[bytes]) -> bool:
    """Send the case's signal at its moment; return whether the command still ran then."""
    if case.signal is None:
        return False
    number, seconds = case.signal
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return False
    process.send_signal(number)
    return True


def _trouble(
    case: Case, command: list[str], code: int | None, sent: bool, texts: dict[str, str]
) -> Iterator[str]:
    everything = "".join(texts.values())
    allowed = {0, 1, 2}
    if sent and case.signal:
        allowed |= {-case.signal[0], 128 + case.signal[0]}
    if code is None:
        yield "no end"
    elif code not in allowed:
        yield f"exit code {code}"
    interrupted = sent and "KeyboardInterrupt" in everything
    for word in ("Traceback", "Exception ignored", "Fatal Python error", "libgomp", "core dumped"):
        if word in everything and not interrupted:
            yield word
    heard = case.streams["stderr"] == "pipe" and not sent
    if code in (1, 2) and heard and not texts.get("stderr", "").strip():
        yield "no sentence"


def _completed(command: list[str]) -> int:
    """Return how many trials a run's ledger has as completed."""
    trials = Ledger(Path(command[-1]) / "tiny" / "ledger").trials()
    return int((trials["outcome"] == "completed").sum())


def _left_over(number: int) -> str:
    """Wait for the end of a case's processes; end and name those that do not end."""
    mark = f"{MARK}={number}\0".encode()
    until = time.monotonic() + AFTERWARDS_SECONDS
    while found := [*_marked(mark)]:
        if time.monotonic() > until:
            names = [Path(f"/proc/{process}/comm").read_text().strip() for process in found]
            for process in found:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return ", ".join(names)
        time.sleep(0.05)
    return ""


def _marked(mark: bytes) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes() + b"\0":
                    yield int(entry.name)


def prepare(top: Path) -> None:
    """Make the sweep file, and a results folder in which the sweep is complete."""
    (top / "tiny.yaml").write_text(SWEEP)
    command = [SOUNDINGS, "run", "tiny.yaml", "--results", "template"]
    subprocess.run(command, cwd=top, check=True, capture_output=True)
    top.chmod(0o755)


def main() -> None:
    """Run the cases, print those with trouble, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--runs", type=float, default=0.02, help="share of cases that train")
    parser.add_argument("--at-once", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    outcomes = []
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="surroundings-") as name:
        prepare(Path(name))
        numbers = range(options.first, options.first + options.count)
        one = partial(run_case, top=Path(name), runs=options.runs)
        ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
        with ProcessPoolExecutor(options.at_once, initializer=ignore) as executor:
            try:
                for outcome in executor.map(one, numbers):
                    outcomes.append(outcome)
                    if outcome["trouble"]:
                        print(json.dumps(outcome), flush=True)
            except KeyboardInterrupt:  # what has ended is recorded
                executor.shutdown(cancel_futures=True)
    figures = {
        "cases": len(outcomes),
        "first": options.first,
        "share_of_runs": options.runs,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "commands": dict(Counter(outcome["command"] for outcome in outcomes).most_common()),
        "exit_codes": dict(Counter(str(outcome["code"]) for outcome in outcomes).most_common()),
        "with_trouble": [outcome for outcome in outcomes if outcome["trouble"]],
    }
    record("surroundings", figures, options.write)


if __name__ == "__main__":
    main()
