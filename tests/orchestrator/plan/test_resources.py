"""The resources of a trial are those in the file, else they follow from the size of its cell."""

import pytest

from orchestrator.plan.resources import GIGABYTE, GPU_OPERATIONS, TrialResources, trial_resources
from tests.support.small import small_plan
from trainables.workload import TRAINING


def need_of(gpu_bytes=16e9, **changes):
    plan = small_plan(architectures=["gru"], **changes)
    (resources,) = trial_resources(plan, gpu_bytes).values()
    return plan.cells[0], resources


LONG = [{"name": "parentheses", "options": {"length": 175, "held_out_size": 32}}]


def test_a_small_cell_takes_a_core_a_gigabyte_and_no_gpu():
    assert need_of()[1] == TrialResources(1.0, 0.0, 10**9)
    assert need_of()[1].as_ray() == {"CPU": 1.0, "memory": 10**9}


def test_resources_in_the_file_take_precedence():
    in_file = {"cpus": 0.5, "gpus": 0.25, "memory": 3}
    assert need_of(resources=in_file)[1] == TrialResources(0.5, 0.25, 3 * 10**9)
    assert need_of(gpu_bytes=None, resources={"gpus": 2})[1].gpus == 2
    large = need_of(tasks=LONG, budgets=[10_000_000], resources={"gpus": 0})[1]
    assert large.gpus == 0


def test_only_trials_with_large_steps_get_a_gpu_and_only_where_there_is_one():
    cell, small = need_of(tasks=LONG, budgets=[20_000], training={"steps": 16, "batch_size": 1})
    operations = TRAINING * cell.parameters * 175 * 2  # two replicates, one sample each
    assert operations < GPU_OPERATIONS and small.gpus == 0
    _, large = need_of(tasks=LONG, budgets=[200_000], training={"steps": 16, "batch_size": 64})
    assert large.gpus == 1 / 8
    _, without = need_of(
        None, tasks=LONG, budgets=[200_000], training={"steps": 9, "batch_size": 64}
    )
    assert (
        without.gpus == 0 and without.memory >= large.memory
    )  # the states are in main memory instead


def test_the_share_of_a_gpu_grows_for_larger_trials_and_smaller_gpus():
    shares = [
        need_of(memory, tasks=LONG, budgets=[200_000], training={"steps": 9, "batch_size": 64})[
            1
        ].gpus
        for memory in (80e9, 8e9, 4e9, 2e9, 1e9)
    ]
    assert shares == sorted(shares) and shares[0] == 1 / 8 and shares[-1] == 1
    _, large = need_of(
        80e9, tasks=LONG, budgets=[20_000_000], training={"steps": 9, "batch_size": 64}
    )
    assert large.gpus == 1  # one step fills a GPU


@pytest.mark.parametrize("budget", [10_000_000, 100_000_000])
def test_memory_holds_six_copies_of_the_weights_and_comes_in_few_sizes(budget):
    cell, need = need_of(None, budgets=[budget])
    weights = 2 * 6 * 4 * cell.parameters  # two replicates, four bytes per number
    assert need.memory > weights + 0.7e9
    gigabytes = need.memory / GIGABYTE
    assert gigabytes in (1, 2, 4, 8, 16, 32) and gigabytes < 4 * (weights / GIGABYTE + 1)


def test_curvature_takes_memory_up_to_what_it_keeps():
    """The graphs of four samples are small; those of a thousand are kept in part."""
    changes = {"training": {"steps": 9, "batch_size": 1}, "replicates": 1, "budgets": [20_000]}
    changes["tasks"] = [{"name": "adding", "options": {"length": 400}}]

    def gigabytes(**asked):
        return need_of(None, diagnostics=asked or None, **changes)[1].memory / GIGABYTE

    assert gigabytes() == gigabytes(lyapunov=True) == gigabytes(hessian=5, samples=4) == 1
    assert gigabytes(hessian=5) == gigabytes(hessian=500) == 4
