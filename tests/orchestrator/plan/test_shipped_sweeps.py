"""Each cell of each shipped sweep, whole and small, survives its first training steps.

Every cell trains at full length for a few steps, with the first configurations that the sweep has
for it, until one of them survives. Batches and data sets are small, which hardly matters to
whether a network diverges at once. No real data are needed: pictures of scikit-learn's digits,
enlarged, stand in for MNIST, and random ones of the same formats for the other data sets.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

from orchestrator.labels import make_label
from orchestrator.plan.plan import make_plan
from orchestrator.spec.small import has_variant
from orchestrator.spec.sweep import load
from tests.support import task_files
from tests.support.paths import ROOT
from trainables import tasks
from trainables.architectures import build
from trainables.training import Schedule, Trainer

STEPS = 3  # the first step shows the initial weights, the others whether the first updates explode
# Samples of a batch. Gradients of two are noisier than those of a sweep's own batches, which
# matters to networks at the edge; large networks are not there, and take long.
BATCH, BATCH_OF_LARGE, LARGE = 16, 2, 20_000  # parameters from which on a network is large
TRIED = 10  # configurations of a cell, of which one has to survive; of an irnn's many diverge
FEW = {"held_out_size": 10, "samples": 1000}  # options of tasks that only say how many samples
FEW_PARAMETERS = 100  # for tasks that have as many samples as the network has parameters

FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
SWEEPS = [
    pytest.param(file, small, id=f"{file.stem}{'-small' * small}")
    for file in FILES
    for small in (False, True)
    if has_variant(file) or not small
]
# What to repeat is known when the other sweep has run; these configurations were the best there.
REPEATING = {"robustness"}


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory):
    """Provide small data sets, among them an MNIST of real digits, which have 8 x 8 pixels."""
    folder = tmp_path_factory.mktemp("data")
    task_files.write(folder)
    digits = load_digits()
    enlarged = np.kron(digits.images * (255 / 16), np.ones((3, 3)))
    images = np.pad(enlarged, [(0, 0), (2, 2), (2, 2)]).round().astype(np.uint8)
    halves = {"train": slice(0, 1000), "t10k": slice(1000, None)}
    mnist = {
        name: (images[half].reshape(-1, 784), digits.target[half].astype(np.uint8))
        for name, half in halves.items()
    }
    task_files.write_mnist(folder, mnist)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOUNDINGS_DATA", str(folder))
        patch.setenv("SOUNDINGS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@cache
def small_task(name, options):
    """Return a task with small data sets; what a network sees is as it would be.

    Args:
        name: name of the task.
        options: its options, as JSON.
    """
    known = tasks.find(name).Options.__dataclass_fields__
    few = {option: size for option, size in FEW.items() if option in known}
    return tasks.make(name, json.loads(options) | few)


@cache
def survives(definition):
    """Return whether a network is feasible after the first steps of a trial.

    Args:
        definition: the trial's definition, as JSON; equal ones are trained once.
    """
    trial = json.loads(definition)
    task = small_task(trial["task"], json.dumps(trial["task_options"], sort_keys=True))
    task = task.configured(trial["configuration"], FEW_PARAMETERS)
    network = build(
        trial["architecture"],
        inputs=task.inputs,
        outputs=task.outputs,
        hidden=trial["hidden"],
        depth=trial["depth"],
        options=trial["architecture_options"],
    )
    schedule = Schedule(
        steps=trial["steps"],
        batch_size=BATCH if trial["parameters"] < LARGE else BATCH_OF_LARGE,
        divergence_threshold=trial["divergence_threshold"],
    )
    trainer = Trainer(
        network,
        task,
        schedule,
        [trial["configuration"]],
        network_seed=trial["network_seed"],
        data_seed=trial["data_seed"],
    )
    trainer.train(STEPS)
    return trainer.infeasible_at == [None]


def meant_to_diverge(file: Path) -> set[str]:
    """Return the labels of the architectures of which a comment says that they are to diverge."""
    lines = [line for line in file.read_text().splitlines() if "# meant to diverge" in line]
    rows = [yaml.safe_load(line)[0] for line in lines]
    return {make_label(row["name"], row["options"]) for row in rows}


def test_a_comment_says_which_networks_are_meant_to_diverge():
    assert meant_to_diverge(ROOT / "sweeps" / "adding.yaml") == {"elman(residual=identity)"}
    assert meant_to_diverge(ROOT / "sweeps" / "depth.yaml") == set()


def test_only_a_sweep_that_repeats_another_has_no_configurations_of_its_own():
    methods = {file.stem: load(file).search.method for file in FILES}
    assert {name for name, method in methods.items() if method == "repeat"} == REPEATING


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "small"), [param for param in SWEEPS if param.values[0].stem not in REPEATING]
)
def test_a_configuration_of_each_cell_survives_the_first_steps(file, small):
    plan = make_plan(load(file, small=small), Path("results"))
    tried = range(min(TRIED, plan.spec.search.samples))
    meant = set() if small else meant_to_diverge(file)
    lost = [
        cell.id
        for cell in plan.cells
        if cell.architecture.label not in meant
        and not any(
            survives(json.dumps(plan.trial(cell, index).definition, sort_keys=True))
            for index in tried
        )
    ]
    assert not lost
