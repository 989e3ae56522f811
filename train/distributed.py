"""One training on several hosts: each takes its share of every batch, and all make the same step (data parallel).

The leader, the first host by name, does all the rest: validation, artifact, reports. What they exchange is a step's
gradients, by torch.distributed: Gloo on CPUs, NCCL on GPUs.
"""

import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from contract.errors import ConfigError, UserError
from contract.job import Job
from train.job_config import read_port

PORT: Final = 7932
PORT_VARIABLE: Final = "KENNEL_TRAINING_PORT"
# Hosts read and check their data first, and a peer's name may not resolve yet.
JOIN_S: Final = 1800.0
# A host that has died is noticed at once; one that is silent, as the others are while the leader validates, after this.
_SILENCE: Final = timedelta(hours=2)
_LOOK_EVERY_S: Final = 0.5
# A signal that ends all hosts reaches some a moment before the others.
_SIGNALS_S: Final = 2.0

_T = TypeVar("_T")


class HostLostError(UserError):
    """Another host has ended, or can't be reached."""


class Group:
    """The hosts of a training, as one of them sees it. This one is alone, so nothing has to be exchanged."""

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        """Whether this host validates and leaves the model."""
        return self.rank == 0

    def tell(self, value: _T) -> _T:
        """The leader's value, on every host; what the others give is dropped."""
        return value

    def must_agree(self, facts: Mapping[str, Any]) -> None:
        """Raises ConfigError, on every host, when a host's facts (JSON) are not the leader's."""

    def total(self, values: Tensor) -> Tensor:
        """The sum over the hosts, of a tensor that has the same shape on all of them."""
        return values

    def average_gradients(self, parameters: Iterable[nn.Parameter], weight: Tensor) -> None:
        """Make the gradients those of all hosts' shares together. weight: what this host's loss was divided by, ()."""

    def settle(self, network: nn.Module) -> None:
        """Make weights the leader's, which they are but for a machine's whims, and BatchNorm's statistics the mean."""


ALONE: Final = Group()


class Hosts(Group):
    """Several hosts, whose process groups are made. Every method has to be called by all of them, in the same order,
    and raises HostLostError when one is gone.
    """

    def __init__(self, job: Job) -> None:
        self._names = job.hosts
        self.rank, self.size = job.hosts.index(job.current_host), len(job.hosts)

    def tell(self, value: _T) -> _T:
        told: list[Any] = [value if self.leads else None]
        with self._together():
            dist.broadcast_object_list(told, src=0)
        answer: _T = told[0]
        return answer

    def must_agree(self, facts: Mapping[str, Any]) -> None:
        all_facts: list[Any] = [None] * self.size
        with self._together():
            dist.all_gather_object(all_facts, dict(facts))
        for name, others in zip(self._names, all_facts, strict=True):
            if differing := [what for what, value in all_facts[0].items() if others[what] != value]:
                raise ConfigError(
                    f"host {name} has other {' and other '.join(differing)} than {self._names[0]}; give all hosts the "
                    "same configuration and each of them all the data (FullyReplicated)"
                )

    def total(self, values: Tensor) -> Tensor:
        values = values.clone()
        with self._together():
            dist.all_reduce(values)
        return values

    def average_gradients(self, parameters: Iterable[nn.Parameter], weight: Tensor) -> None:
        gradients = [each.grad for each in parameters if each.grad is not None]
        # One exchange for all, with the weight behind them.
        flat = torch.cat([*(each.reshape(-1) for each in gradients), torch.ones_like(gradients[0].reshape(-1)[:1])])
        flat *= weight.to(flat)
        with self._together():
            dist.all_reduce(flat)
        flat[:-1] /= flat[-1].clone()
        _spread(flat[:-1], gradients)

    def settle(self, network: nn.Module) -> None:
        weights = [each.data for each in network.parameters()]
        flat = torch.cat([each.reshape(-1) for each in weights])
        with self._together():
            dist.broadcast(flat, src=0)
        _spread(flat, weights)
        if statistics := [each for each in network.buffers() if each.is_floating_point()]:
            _spread(self.total(torch.cat([each.reshape(-1) for each in statistics])) / self.size, statistics)

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            # If it has ended by a signal, so will this one, and that is then the reason.
            time.sleep(_SIGNALS_S)
            raise HostLostError(
                f"another host of this training has ended or can't be reached (here is {self._names[self.rank]}, of "
                f"{', '.join(self._names)}); its log says why"
            ) from error


def _spread(flat: Tensor, parts: Iterable[Tensor]) -> None:
    """Copy a vector's values into tensors that together have as many, in order."""
    position = 0
    for part in parts:
        part.copy_(flat[position : position + part.numel()].view_as(part))
        position += part.numel()


@contextmanager
def joined(job: Job, device: torch.device) -> Iterator[Group]:
    """The job's hosts, once all of them are there; a single one is alone.

    At the end the others wait until the leader's process has ended, for where one host's end ends the job, the
    artifact has to be there. Raises HostLostError when a host doesn't come within half an hour, ConfigError when
    KENNEL_TRAINING_PORT is no port.
    """
    if len(job.hosts) == 1:
        yield ALONE
        return
    leader, port = job.hosts[0], read_port(os.environ, PORT_VARIABLE, PORT)
    if job.interface and Path("/sys/class/net", job.interface).exists():
        for library in ("GLOO", "NCCL"):
            os.environ.setdefault(f"{library}_SOCKET_IFNAME", job.interface)
    group = Hosts(job)
    print(f"hosts: {', '.join(job.hosts)}; {leader} leads, this is {job.current_host}", flush=True)
    if not group.leads:
        _wait_for(leader, port)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        store = dist.TCPStore(leader, port, group.size, group.leads, timedelta(seconds=JOIN_S))  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=group.rank, world_size=group.size, timeout=_SILENCE)
    except RuntimeError as error:
        raise HostLostError(
            f"the hosts {', '.join(job.hosts)} don't come together ({str(error).splitlines()[0]}), "
            f"for which there are {JOIN_S / 60:g} minutes; their logs say why"
        ) from error
    yield group
    if not group.leads:
        print(f"hosts: nothing further for this one, which waits for {leader}", flush=True)
        _outlast(leader, port)


def _wait_for(leader: str, port: int) -> None:
    end = time.monotonic() + JOIN_S
    while True:
        try:
            socket.create_connection((leader, port), timeout=10).close()
        # A name that can't be resolved yet is one, too.
        except OSError as error:
            if time.monotonic() > end:
                raise HostLostError(
                    f"the leading host {leader}:{port} can't be reached ({error.strerror or error}) and was tried for "
                    f"{JOIN_S / 60:g} minutes; its log says what became of it"
                ) from error
            time.sleep(_LOOK_EVERY_S)
        else:
            return


def _outlast(leader: str, port: int) -> None:
    """Wait until nobody listens there any more: the leader is done, or gone."""
    while True:
        try:
            socket.create_connection((leader, port), timeout=10).close()
        except OSError:
            return
        time.sleep(_LOOK_EVERY_S)
