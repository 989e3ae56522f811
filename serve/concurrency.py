"""How many processes and threads serve, from what the machine has and what was asked for."""

from dataclasses import dataclass
from typing import Final

# One Python process has one interpreter lock: what it does to a request beside decoding and predicting, about half a
# millisecond, bounds it to some 2,000 requests a second, which is what ten cores' worth of int8 predictions come to.
CORES_A_WORKER: Final = 8


@dataclass(frozen=True)
class Concurrency:
    """workers: processes, each with a copy of the model. threads: cores that each may use for predicting, and as many
    images it decodes at once.
    """

    workers: int
    threads: int


def choose(cpus: int, workers: int, threads: int) -> Concurrency:
    """cpus: cores this container may use. workers, threads: what the user wants, 0 for what suits the machine.

    Together the workers never have more threads than there are cores, unless there are more workers than that.
    """
    workers = workers or max(1, cpus // CORES_A_WORKER)
    return Concurrency(workers, threads or max(1, cpus // workers))
