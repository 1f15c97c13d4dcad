"""What making a batch costs, against the training step that it is for.

Every task with its own defaults, batch size included, on the network of the capacity paper that
trains fastest, a vanilla one of depth 1 with 100,000 parameters. Milliseconds of processor time of
one thread, medians of rounds in turn. Tasks whose data are not here are left out by name.
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
TARGET = 0.1  # of a training step


def figures(name: str, rounds: int) -> dict[str, float] | str:
    """Milliseconds of a batch and of a step with it, and the share of the one in the other."""
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
    given = parser.parse_args()
    worker.prepare(threads=1)
    measured = {name: figures(name, given.rounds) for name in tasks.TASKS}
    record("batches", {"target": TARGET, "milliseconds": measured}, given.record)


if __name__ == "__main__":
    main()
