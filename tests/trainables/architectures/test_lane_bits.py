"""Tests that a lane of a pack is, bit for bit, the network that trains alone.

That holds on a CPU whose loops are compiled, for every architecture, for configurations with other
optimizers, nonlinearities and initial weights beside it, and wherever a lane lies in memory.
"""

import os
import subprocess
import sys
from functools import cache

import pytest

from tests.support.networks import CASES, configuration
from tests.support.paths import ROOT
from tests.support.trainers import weights
from trainables import tasks
from trainables.architectures import ARCHITECTURES, build
from trainables.architectures.nonlinearity import compiles
from trainables.training import Schedule, Trainer

pytestmark = pytest.mark.skipif(not compiles(), reason="loops over time are not compiled here")

OPTIMIZERS = ("adam", "sgd", "momentum", "rmsprop")
STEPS = 4
# Hidden width, batch size and task: the smallest there are, odd ones, those of a paper, and a
# single input, with which products are products with vectors.
SHAPES = {
    "smallest": (2, 1, "memory", {"size": 1, "delay": 2, "held_out_size": 1}),
    "odd": (6, 3, "memory", {"size": 3, "delay": 2, "held_out_size": 7}),
    "capacity": (12, 16, "adding", {"length": 6, "held_out_size": 300}),
    "one input": (26, 8, "running_sum", {"size": 1, "length": 6, "held_out_size": 50}),
}
TRIALS = 17


@cache
def task_of(shape):
    return tasks.make(*SHAPES[shape][2:])


def configurations(name, options):
    """Return configurations that differ in all that is drawn, and in their optimizers."""
    drawn = [configuration(name, options, i, learning_rate=1e-3) for i in range(TRIALS)]
    return [
        {"momentum_logit": 2.0} | one | {"optimizer": OPTIMIZERS[i % 4]}
        for i, one in enumerate(drawn)
    ]


def trained(name, options, depth, shape, numbers):
    """Return a trainer of some of the configurations, after a few steps."""
    hidden, batch_size, _, _ = SHAPES[shape]
    task, drawn = task_of(shape), configurations(name, options)
    network = build(
        name,
        inputs=task.inputs,
        outputs=task.outputs,
        hidden=hidden,
        depth=depth,
        lanes=len(numbers),
        options=options,
    )
    schedule = Schedule(100, batch_size, divergence_threshold=1e4, shared_batches=True)
    trainer = Trainer(
        network,
        task,
        schedule,
        [drawn[number] for number in numbers],
        network_seed=1,
        data_seed=2,
        lanes=numbers,
    )
    trainer.train(STEPS)
    return trainer


def numbers_of(trainer):
    """Return, lane by lane, all that a lane's training and evaluation made."""
    scores = trainer.evaluate("validation")
    columns = (
        trainer.infeasible_at,
        trainer.training_losses,
        scores.losses,
        scores.metrics,
        [weights(trainer, lane).tolist() for lane in range(trainer.network.lanes)],
    )
    return [repr(lane) for lane in zip(*columns, strict=True)]  # nan equals nan in a text


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value).replace(" ", ""))
def test_a_lane_of_a_pack_is_the_network_alone_bit_for_bit(name, options, depth):
    if depth < ARCHITECTURES[name].minimal_depth:
        pytest.skip("the architecture has more layers")
    for shape in SHAPES:
        pack = numbers_of(trained(name, options, depth, shape, range(TRIALS)))
        for lanes in ((0, 1), (3, 5, 7, 8, 2, 16), (9,), (16,)):
            fewer = numbers_of(trained(name, options, depth, shape, lanes))
            assert fewer == [pack[lane] for lane in lanes], (shape, lanes)


PLACES = """
import itertools, torch
import trainables
torch.manual_seed(0)
torch.set_num_threads(1)

def placed(x, offset):
    room = torch.empty(x.numel() + 32)
    begin = -(room.data_ptr() // 4) % 16 + offset  # a number of 4 bytes behind a multiple of 64
    return room[begin : begin + x.numel()].view(x.shape).copy_(x)

for m, n, k in itertools.product((1, 2, 5, 17, 94), (1, 4, 31, 94), (1, 12, 17, 100)):
    x, y, z = torch.randn(m, k), torch.randn(n, k), torch.randn(k, n)
    products = {
        (torch.mm(placed(x, i), placed(y, j).T).numpy().tobytes(),
         torch.mm(placed(x, i), placed(z, j)).numpy().tobytes(),
         torch.mm(placed(z, i).T, placed(z, j)).numpy().tobytes())
        for i, j in ((0, 0), (2, 0), (0, 6), (3, 5), (8, 8))
    }
    assert len(products) == 1, (m, n, k)
"""


def test_a_product_does_not_depend_on_where_its_factors_lie_in_memory():
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    subprocess.run([sys.executable, "-c", PLACES], env=environment, cwd=ROOT, check=True)
