"""Checks that `ray up` and KubeRay accept the files that start clusters, and that these are safe.

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
    """Return a launcher file as written; Google Cloud's is AWS's with the lines at its end."""
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
    """Return what `ray up` makes of a launcher file; raise its error if it refuses the file."""
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def starts(commands):
    """Return the arguments of `ray start` in a list of commands, and the variables it exports."""
    [command] = [command for command in commands if "ray start" in command]
    exported = " ".join(re.findall(r"export ([^;]+);", command))
    environment = dict(word.split("=", 1) for word in shlex.split(exported))
    return shlex.split(command[command.index("ray start") :]), environment


@pytest.mark.parametrize("name", LAUNCHERS)
def test_ray_up_accepts_a_launcher_file(name):
    config = loaded(launcher(name))
    assert config["provider"]["type"] == name
    assert config["head_node_type"] in config["available_node_types"]


@pytest.mark.parametrize(
    ("name", "section"),
    [(name, section) for name in LAUNCHERS for section in ((), ("auth",))]
    + [(name, ("available_node_types", "gpu")) for name in CLOUDS],
)
def test_ray_up_refuses_a_launcher_file_with_a_misspelt_key(name, section):
    inside = config = launcher(name)
    for key in section:
        inside = inside[key]
    inside["max_wokers"] = 1
    with pytest.raises(jsonschema.ValidationError, match="max_wokers"):
        loaded(config)


def test_all_machines_listed_in_the_file_for_own_machines_become_workers():
    config = _bootstrap_config(launcher("local"), no_config_cache=True)  # this asks no cloud
    [machines] = config["available_node_types"].values()
    workers = len(config["provider"]["worker_ips"])
    assert machines["min_workers"] == machines["max_workers"] == workers


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_node_of_a_launched_cluster_asks_for_the_token(name):
    config = loaded(launcher(name))
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("chmod 600 ~/.ray/auth_token" in command for command in config["setup_commands"])
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        _, environment = starts(commands)
        assert environment["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize("name", LAUNCHERS)
def test_dashboard_and_mlflow_of_a_launched_cluster_listen_on_loopback(name):
    config = loaded(launcher(name))
    head, environment = starts(config["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in head
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    [mlflow] = [c for c in config["head_start_ray_commands"] if "mlflow server" in c]
    assert "--host 127.0.0.1 --port 5000" in mlflow
    assert "0.0.0.0" not in str(config)


@pytest.mark.parametrize("name", CLOUDS)
def test_workers_in_a_cloud_have_gpus_and_the_head_takes_no_trials(name):
    config = loaded(launcher(name))
    types = dict(config["available_node_types"])
    head = types.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0}  # a trial asks for more than 0
    assert head["max_workers"] == 0
    assert len(types) == 2
    for worker in types.values():
        assert worker["resources"]["GPU"] >= 1
        assert worker["min_workers"] == 0 < worker["max_workers"] <= config["max_workers"]
    assert config["idle_timeout_minutes"] > 0


def test_the_head_of_own_machines_takes_no_trials_and_workers_offer_all_they_have():
    config = loaded(launcher("local"))
    head, environment = starts(config["head_start_ray_commands"])
    assert "--num-cpus=0" in head
    assert environment["RAY_enable_autoscaler_v2"] == "0"  # version 2 takes the head for a worker
    worker, _ = starts(config["worker_start_ray_commands"])
    assert not any(word.startswith(("--num-", "--resources")) for word in worker)


@pytest.mark.parametrize("name", CLOUDS)
def test_exactly_one_type_of_worker_in_a_cloud_is_spot(name):
    spot = {
        "aws": lambda node: node.get("InstanceMarketOptions") == {"MarketType": "spot"},
        "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
    }[name]
    types = launcher(name)["available_node_types"]
    assert [kind for kind, node in types.items() if spot(node["node_config"])] == ["gpu-spot"]


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_command_of_a_launcher_file_is_valid_bash(name):
    config = launcher(name)
    commands = [c for key, value in config.items() if key.endswith("_commands") for c in value]
    assert len(commands) >= 10
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_launcher_files_for_clouds_and_own_machines_set_nodes_up_alike():
    aws, local = launcher("aws"), launcher("local")
    for key in ("setup_commands", "file_mounts", "rsync_exclude"):
        assert aws[key] == local[key]


def test_a_launcher_file_mounts_exactly_what_is_installed(tmp_path, monkeypatch):
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
    """Return the Kubernetes manifest, and the published structure that it must have."""
    job = yaml.safe_load((ROOT / "kubernetes.yaml").read_text())
    crd = yaml.safe_load((Path(__file__).parent / "rayjob-crd.yaml").read_text())
    return job, crd["spec"]


def strict(schema):
    """Return a schema that refuses objects with fields that it does not name."""
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


def test_the_kubernetes_manifest_follows_the_definition_of_kuberay():
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
def test_a_mistake_in_the_kubernetes_manifest_is_refused(place, key, value):
    job, spec = rayjob()
    inside = job["spec"]
    for step in place:
        inside = inside[step]
    inside[key] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(job, spec)


def test_the_kubernetes_manifest_asks_for_the_token_and_holds_no_secrets():
    cluster = rayjob()[0]["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == ray.__version__  # authOptions need the version
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    [head] = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    [worker] = cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"]
    secrets = [
        [source["secretRef"]["name"] for source in container["envFrom"]]
        for container in (head, worker)
    ]
    assert secrets == [["soundings-store", "soundings-mlflow"], ["soundings-store"]]
    assert "env" not in worker and [variable["name"] for variable in head["env"]] == [hosts.TO_COME]


def test_a_run_on_kubernetes_counts_the_workers_that_the_autoscaler_would_add(monkeypatch):
    cluster = rayjob()[0]["spec"]["rayClusterSpec"]
    [group] = cluster["workerGroupSpecs"]
    [head] = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    [worker] = group["template"]["spec"]["containers"]
    monkeypatch.setenv(hosts.TO_COME, head["env"][0]["value"])
    new_hosts = hosts.to_come([])
    limits = worker["resources"]["limits"]
    memory = int(limits["memory"].removesuffix("Gi")) * 2**30
    assert len(new_hosts) == group["maxReplicas"]
    assert {host.resources["CPU"] for host in new_hosts} == {float(limits["cpu"])}
    assert {host.resources["GPU"] for host in new_hosts} == {float(limits["nvidia.com/gpu"])}
    # Ray keeps a part of a node's memory for its object store.
    assert all(0.5 * memory < host.resources["memory"] < 0.7 * memory for host in new_hosts)
    assert len(hosts.to_come(new_hosts[:3])) == group["maxReplicas"] - 3
    monkeypatch.setenv(hosts.TO_COME, "eight hosts")
    with pytest.raises(BadInput, match="must be like '8"):
        hosts.to_come([])


def test_a_run_on_a_head_that_ray_up_started_counts_the_workers_that_would_be_added(
    monkeypatch, tmp_path
):
    launched = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    monkeypatch.setattr(hosts, "LAUNCHED", tmp_path / "ray_bootstrap_config.yaml")
    assert hosts.to_come([]) == []
    hosts.LAUNCHED.write_text(yaml.safe_dump(launched))
    new_hosts = hosts.to_come([])
    assert len(new_hosts) == launched["max_workers"] and all(
        host.resources["GPU"] for host in new_hosts
    )
    assert len(hosts.to_come(new_hosts[:2])) == launched["max_workers"] - 2


def test_the_kubernetes_job_runs_the_sweep_file_that_is_mounted():
    job = rayjob()[0]["spec"]
    words = shlex.split(job["entrypoint"])
    assert words[:2] == ["soundings", "run"]
    pod = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [mount] = pod["containers"][0]["volumeMounts"]
    assert Path(words[2]).parent == Path(mount["mountPath"])
    assert [volume["name"] for volume in pod["volumes"]] == [mount["name"]]
    configmap = re.search(
        r"create configmap (\S+) --from-file=([^=]+)=", (ROOT / "kubernetes.yaml").read_text()
    )
    assert configmap[1] == pod["volumes"][0]["configMap"]["name"]
    assert configmap[2] == Path(words[2]).name
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
