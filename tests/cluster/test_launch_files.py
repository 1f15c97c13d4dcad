"""The files that start clusters are what `ray up` and KubeRay take, and safe as they are.

`ray up` loads a launcher file, fills in defaults and checks it against Ray's schema before it talks
to a cloud; these steps are Ray's own functions, called here. A schema knows the file's structure
only: what is inside `node_config` belongs to the cloud.
"""

import copy
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.commands import _bootstrap_config
from ray.autoscaler._private.util import hash_runtime_conf, prepare_config, validate_config

from orchestrator.cluster import hosts
from orchestrator.errors import BadInput

ROOT = Path(__file__).parents[2]
CLOUDS = ["aws", "gcp"]
LAUNCHERS = [*CLOUDS, "local"]


def launcher(name):
    """A launcher file as it is written; Google Cloud's is AWS's with the lines at its end."""
    if name == "local":
        return yaml.safe_load((ROOT / "cluster-local.yaml").read_text())
    text = (ROOT / "cluster.yaml").read_text()
    config = yaml.safe_load(text)
    if name == "gcp":
        lines = text.partition("# On Google Cloud these take the place of")[2].splitlines()
        indented = [line.removeprefix("#   ") for line in lines if line.startswith("#   ")]
        config |= yaml.safe_load("\n".join(indented))
    return config


def loaded(config):
    """What `ray up` makes of a launcher file; an error where it refuses it."""
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def starts(commands):
    """The arguments of `ray start` in a list of commands, with what its command exports."""
    [command] = [command for command in commands if "ray start" in command]
    exported = " ".join(re.findall(r"export ([^;]+);", command))
    environment = dict(word.split("=", 1) for word in shlex.split(exported))
    return shlex.split(command[command.index("ray start") :]), environment


@pytest.mark.parametrize("name", LAUNCHERS)
def test_ray_takes_the_file(name):
    config = loaded(launcher(name))
    assert config["provider"]["type"] == name
    assert config["head_node_type"] in config["available_node_types"]


@pytest.mark.parametrize(
    ("name", "section"),
    [(name, section) for name in LAUNCHERS for section in ((), ("auth",))]
    + [(name, ("available_node_types", "gpu")) for name in CLOUDS],
)
def test_a_misspelt_key_is_refused(name, section):
    inside = config = launcher(name)
    for key in section:
        inside = inside[key]
    inside["max_wokers"] = 1
    with pytest.raises(jsonschema.ValidationError, match="max_wokers"):
        loaded(config)


def test_machines_that_one_has_need_nothing_else():
    config = _bootstrap_config(launcher("local"), no_config_cache=True)  # asks no cloud
    [machines] = config["available_node_types"].values()
    workers = len(config["provider"]["worker_ips"])
    assert machines["min_workers"] == machines["max_workers"] == workers


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_node_asks_for_the_token(name):
    config = loaded(launcher(name))
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("chmod 600 ~/.ray/auth_token" in command for command in config["setup_commands"])
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        _, environment = starts(commands)
        assert environment["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize("name", LAUNCHERS)
def test_dashboard_and_mlflow_are_on_loopback(name):
    config = loaded(launcher(name))
    head, environment = starts(config["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in head
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    [mlflow] = [c for c in config["head_start_ray_commands"] if "mlflow server" in c]
    assert "--host 127.0.0.1 --port 5000" in mlflow
    assert "0.0.0.0" not in str(config)


@pytest.mark.parametrize("name", CLOUDS)
def test_workers_have_gpus_and_the_head_takes_no_trials(name):
    config = loaded(launcher(name))
    types = dict(config["available_node_types"])
    head = types.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0}  # a trial asks for more than none
    assert head["max_workers"] == 0
    assert len(types) == 2
    for worker in types.values():
        assert worker["resources"]["GPU"] >= 1
        assert worker["min_workers"] == 0 < worker["max_workers"] <= config["max_workers"]
    assert config["idle_timeout_minutes"] > 0


def test_machines_that_one_has_are_workers_and_the_head_takes_no_trials():
    config = loaded(launcher("local"))
    head, environment = starts(config["head_start_ray_commands"])
    assert "--num-cpus=0" in head
    assert environment["RAY_enable_autoscaler_v2"] == "0"  # it takes the head for a worker
    worker, _ = starts(config["worker_start_ray_commands"])
    assert not any(word.startswith(("--num-", "--resources")) for word in worker)


@pytest.mark.parametrize("name", CLOUDS)
def test_one_kind_of_worker_is_spot(name):
    spot = {
        "aws": lambda node: node.get("InstanceMarketOptions") == {"MarketType": "spot"},
        "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
    }[name]
    types = launcher(name)["available_node_types"]
    assert [kind for kind, node in types.items() if spot(node["node_config"])] == ["gpu-spot"]


@pytest.mark.parametrize("name", LAUNCHERS)
def test_commands_parse(name):
    config = launcher(name)
    commands = [c for key, value in config.items() if key.endswith("_commands") for c in value]
    assert len(commands) >= 10
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_all_nodes_are_set_up_alike():
    aws, local = launcher("aws"), launcher("local")
    for key in ("setup_commands", "file_mounts", "rsync_exclude"):
        assert aws[key] == local[key]


def test_what_is_mounted_is_all_that_is_installed(tmp_path, monkeypatch):
    mounts = launcher("aws")["file_mounts"]
    copied = {local for local in mounts.values() if not local.startswith("~")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    texts = [project["project"]["readme"], *project["project"]["license-files"]]
    installed = [*(name.removesuffix("*") for name in packages), *texts, "pyproject.toml"]
    assert copied == {*installed, "constraints.txt"}
    # Ray reads all of it, from the folder in which `ray up` runs.
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("token")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)
    hash_runtime_conf(mounts, [], {})


def rayjob():
    """The Kubernetes manifest, and the published structure it has to have."""
    job = yaml.safe_load((ROOT / "kubernetes.yaml").read_text())
    crd = yaml.safe_load((Path(__file__).parent / "rayjob-crd.yaml").read_text())
    return job, crd["spec"]


def strict(schema):
    """A structural schema in which an object has no fields but those it names."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    return schema | {"additionalProperties": False} if "properties" in schema else schema


def validate(job, spec):
    """Refuse what KubeRay's definition does not have, as `kubectl apply` does."""
    [version] = [v for v in spec["versions"] if f"{spec['group']}/{v['name']}" == job["apiVersion"]]
    assert job["kind"] == spec["names"]["kind"]
    assert version["served"]
    jsonschema.Draft7Validator(strict(version["schema"]["openAPIV3Schema"])).validate(job)


def test_kuberay_takes_the_manifest():
    validate(*rayjob())


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ((), "backofLimit", 5),
        ((), "backoffLimit", "5"),
        (("rayClusterSpec",), "authOption", {"mode": "token"}),
        (("rayClusterSpec", "authOptions"), "mode", "tokens"),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams"), "num-cpus", 0),
        (("rayClusterSpec", "headGroupSpec", "template", "spec"), "volume", []),
        (("rayClusterSpec", "workerGroupSpecs", 0), "maxReplica", 8),
        (("rayClusterSpec", "workerGroupSpecs", 0, "template", "spec"), "containers", [{}]),
    ],
)
def test_a_mistake_in_the_manifest_is_refused(place, key, value):
    job, spec = rayjob()
    inside = job["spec"]
    for step in place:
        inside = inside[step]
    inside[key] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(job, spec)


def test_kubernetes_has_the_token_and_no_secrets():
    cluster = rayjob()[0]["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == ray.__version__  # authOptions need it named
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    [head] = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    [worker] = cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"]
    secrets = [
        [source["secretRef"]["name"] for source in container["envFrom"]]
        for container in (head, worker)
    ]
    assert secrets == [["soundings-store", "soundings-mlflow"], ["soundings-store"]]
    assert "env" not in worker and [one["name"] for one in head["env"]] == [hosts.TO_COME]


def test_the_run_on_kubernetes_knows_the_workers_that_would_come(monkeypatch):
    cluster = rayjob()[0]["spec"]["rayClusterSpec"]
    [group] = cluster["workerGroupSpecs"]
    [head] = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    [worker] = group["template"]["spec"]["containers"]
    monkeypatch.setenv(hosts.TO_COME, head["env"][0]["value"])
    come = hosts.to_come([])
    limits = worker["resources"]["limits"]
    whole = int(limits["memory"].removesuffix("Gi")) * 2**30
    assert len(come) == group["maxReplicas"]
    assert {host.resources["CPU"] for host in come} == {float(limits["cpu"])}
    assert {host.resources["GPU"] for host in come} == {float(limits["nvidia.com/gpu"])}
    # Ray keeps a part of a node's memory for its object store.
    assert all(0.5 * whole < host.resources["memory"] < 0.7 * whole for host in come)
    assert len(hosts.to_come(come[:3])) == group["maxReplicas"] - 3
    monkeypatch.setenv(hosts.TO_COME, "eight hosts")
    with pytest.raises(BadInput, match="must be like '8"):
        hosts.to_come([])


def test_a_run_on_a_head_that_ray_up_started_knows_the_workers_that_would_come(
    monkeypatch, tmp_path
):
    launched = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    monkeypatch.setattr(hosts, "LAUNCHED", tmp_path / "ray_bootstrap_config.yaml")
    assert hosts.to_come([]) == []
    hosts.LAUNCHED.write_text(yaml.safe_dump(launched))
    come = hosts.to_come([])
    assert len(come) == launched["max_workers"] and all(host.resources["GPU"] for host in come)
    assert len(hosts.to_come(come[:2])) == launched["max_workers"] - 2


def test_kubernetes_runs_the_sweep_that_is_mounted():
    job = rayjob()[0]["spec"]
    words = shlex.split(job["entrypoint"])
    assert words[:2] == ["soundings", "run"]
    pod = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [mount] = pod["containers"][0]["volumeMounts"]
    assert Path(words[2]).parent == Path(mount["mountPath"])
    assert [volume["name"] for volume in pod["volumes"]] == [mount["name"]]
    made = re.search(
        r"create configmap (\S+) --from-file=([^=]+)=", (ROOT / "kubernetes.yaml").read_text()
    )
    assert made[1] == pod["volumes"][0]["configMap"]["name"]
    assert made[2] == Path(words[2]).name
    assert job["backoffLimit"] > 0
    assert job["shutdownAfterJobFinishes"]


def test_kubernetes_workers_have_gpus_and_the_head_takes_no_trials():
    cluster = rayjob()[0]["spec"]["rayClusterSpec"]
    assert cluster["enableInTreeAutoscaling"]
    head = cluster["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert "nvidia.com/gpu" not in str(head)
    [group] = cluster["workerGroupSpecs"]
    assert group["minReplicas"] == 0 < group["maxReplicas"]
    [worker] = group["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert worker["image"] == head["template"]["spec"]["containers"][0]["image"]
