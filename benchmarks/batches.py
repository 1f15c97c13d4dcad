"""Measures the time of making a batch against the training step that uses it, for every task.

    python benchmarks/batches.py [--rounds 7] [--record]

Each task has its own defaults, batch size included. The network is the one of the capacity paper
that trains fastest: a vanilla one of depth 1 with 100,000 parameters. Figures are milliseconds of
processor time of one thread, medians over rounds in which batch and step alternate. A task whose
data are not on this machine gets a sentence instead of figures.
"""

import argparse
from functools import partial
from itertools import count

from recording import record
from training import in_turn

from trainables import sizing, tasks, worker
from trainables.architectures import build, search_space
from trainables.data import DataError
from trainables.space import draw
from trainables.training import Schedule, Trainer

PARAMETERS = 100_000
TARGET = 0.1  # largest share of a training step that a batch may take


def figures(name: str, rounds: int) -> dict[str, float] | str:
    """Return the milliseconds of a batch and of a training step, and the first over the second.

    A task without data on this machine returns a sentence.
    """
    task = tasks.make(name)
    try:
        task.prepare()
    except DataError:
        return "its data are not on this machine"
    size = sizing.solve(
        "rnn", inputs=task.inputs, outputs=task.outputs, depth=1, options={}, budget=PARAMETERS
    )
    configuration = draw(search_space("rnn"), "benchmark") | draw(task.hyperparameters, "benchmark")
    configuration |= {"optimizer": "adam", "nonlinearity": "tanh", "learning_rate": 1e-4}
    trainer = Trainer(
        build("rnn", inputs=task.inputs, outputs=task.outputs, hidden=size.hidden),
        task.configured(configuration, size.parameters),
        Schedule(
            steps=10**9, batch_size=task.protocol.batch_size, divergence_threshold=float("inf")
        ),
        [configuration],
        network_seed=0,
        data_seed=0,
    )
    steps = count()
    batch = partial(trainer.task.batch, seed=0, lanes=[0], size=task.protocol.batch_size)
    times = in_turn({"batch": lambda: batch(step=next(steps)), "step": trainer._train_one}, rounds)
    return times | {"share": round(times["batch"] / times["step"], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    worker.prepare(threads=1)
    measured = {name: figures(name, args.rounds) for name in tasks.TASKS}
    record("batches", {"target": TARGET, "milliseconds": measured}, args.record)


if __name__ == "__main__":
    main()
