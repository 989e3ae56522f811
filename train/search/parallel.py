"""A search whose trials run in several processes, on this host or on several."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from contract.hyperparameters import Hyperparameters
from contract.job import Job
from contract.paths import MLPaths
from contract.progress import Progress
from model.threads import use_threads
from train.data.dataset import DataSet
from train.distributed import wait_for_rank0
from train.features import FOLDER_VARIABLE
from train.resources import Backbones, TrainingResources
from train.search.best_trial import BestTrial
from train.search.client import LEADER_WAIT_S, Client
from train.search.remote import ALIVE_EVERY_S, Coordinator, Server, fingerprint, port_of
from train.search.trial import Measured, run_trials
from train.search.workers import Slot, WorkerPool
from tuning.searcher import Searcher
from tuning.settings import SearchSettings

_LOOPBACK: Final = "127.0.0.1"
_WATCHED_EVERY_S: Final = 0.5


@dataclass(frozen=True)
class Work:
    """What a worker process trains trials with. hyperparameters: the job's. epochs: of the longest trial. best: where
    the best trial's weights are kept. leader, port: who has the search.
    """

    paths: MLPaths
    hyperparameters: Hyperparameters
    data: DataSet
    device: str
    epochs: int
    best: Path
    leader: str = _LOOPBACK
    port: int = 0

    def __call__(self, crew: str, number: int, slot: Slot) -> None:
        """Run trials, in a process of its own, until there is no further one."""
        use_threads(slot.threads)
        goals = SearchSettings.of(self.hyperparameters).objectives
        backbones, progress = Backbones(several=True), Progress(None)
        device = torch.device(self.device)
        resources = TrainingResources(self.paths, self.data, device, backbones, progress, epochs=self.epochs)
        client = self.client(crew, number)
        where = f"cores {', '.join(map(str, slot.cores))}" if slot.cores else f"threads: {slot.threads}"
        print(f"search: worker process {number} has begun (process id {os.getpid()}, {where})", flush=True)
        run_trials(resources, client, Measured.of(goals), BestTrial(self.best, goals))
        print(f"search: worker process {number} has ended, after {client.given} trials", flush=True)

    def client(self, crew: str, number: int = 0) -> Client:
        """The search as a worker sees it."""
        return Client(self.leader, self.port, fingerprint(self.hyperparameters, self.data), crew, number)


@contextmanager
def leading(job: Job, slots: tuple[Slot, ...], work: Work, search: Searcher) -> Iterator[Callable[[], None]]:
    """Gives the function that runs all of the search's trials in worker processes.

    It raises NoWorkerError when none is left before the search is over, and what the search itself raises. On the CPU
    this process has as many threads as a worker has from then on, so that the same training gives the same numbers.
    The features that trials computed are there until the block ends. At its end other hosts are waited for, for a
    while.
    """
    coordinator = Coordinator(search)
    others = set(job.hosts) - {job.current_host}
    address, port = ("", port_of()) if others else (_LOOPBACK, 0)
    with (
        _shared_features(),
        Server(coordinator, fingerprint(work.hyperparameters, work.data), address, port) as server,
    ):

        def run() -> None:
            print(
                f"search: worker processes: {len(slots)}, threads of each: {slots[0].threads}"
                + (f"; other hosts that take part: {', '.join(sorted(others))}" if others else ""),
                flush=True,
            )
            with WorkerPool(job.current_host, slots, replace(work, port=server.port)) as crew:
                _coordinate(coordinator, crew)
            use_threads(slots[0].threads)

        yield run
        coordinator.linger(others)


def _coordinate(coordinator: Coordinator, crew: WorkerPool) -> None:
    while not coordinator.over:
        if crew.size:
            for worker, why in crew.wait(_WATCHED_EVERY_S).items():
                print(f"search: {why}", flush=True)
                coordinator.lost(crew.name, why, worker)
        else:
            time.sleep(_WATCHED_EVERY_S)
        if coordinator.fault is not None:
            raise coordinator.fault
        if not crew.size and not coordinator.others() and not coordinator.over:
            raise crew.gone()


def follow(job: Job, slots: tuple[Slot, ...], work: Work) -> None:
    """Run trials of the leader's search, on a host that doesn't lead, until there is no further one.

    Raises LeaderError when the leader doesn't come up, vanishes, or has another search; NoWorkerError when no worker
    process is left.
    """
    leader, here = job.hosts[0], job.current_host
    work = replace(work, leader=leader, port=port_of())
    crew = WorkerPool(here, slots, work)
    print(f"search: {leader} leads it; worker processes here: {len(slots)}", flush=True)
    client = work.client(crew.name)
    over = client.waiting(LEADER_WAIT_S).alive(here)
    with _shared_features(), crew:
        while crew.size and not over:
            for worker, why in crew.wait(ALIVE_EVERY_S).items():
                print(f"search: {why}", flush=True)
                client.lost(crew.name, why, worker)
            over = client.alive(here)
    client.leave(here)
    if not over and not crew.served:
        raise crew.gone()
    print("search: no further trial for this host, which waits for the leader's training", flush=True)
    # Who runs several containers may end all when one has ended, as the local mode of SageMaker's SDK does.
    wait_for_rank0(leader, work.port)


@contextmanager
def _shared_features() -> Iterator[None]:
    """A folder in which the processes of this host leave features for each other, unless there is one already."""
    if os.environ.get(FOLDER_VARIABLE):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="kennel-features-", ignore_cleanup_errors=True) as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER_VARIABLE]
