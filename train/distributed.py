"""Data-parallel training on several hosts: each takes its share of every batch, and all make the same step.

Rank 0, the first host by name, also validates and writes artifact and reports. The hosts exchange a step's gradients
by torch.distributed: Gloo on CPUs, NCCL on GPUs.
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
# A host that has died is noticed at once; a silent one, as the others are while rank 0 validates, after this.
_SILENCE: Final = timedelta(hours=2)
_LOOK_EVERY_S: Final = 0.5
# A signal that ends all hosts reaches some a moment before the others.
_SIGNALS_S: Final = 2.0

_T = TypeVar("_T")


class HostLostError(UserError):
    """Another host has ended, or can't be reached."""


class Group:
    """The hosts of a training, as one of them sees it. In this class it is the only one and exchanges nothing."""

    rank = 0
    size = 1

    @property
    def is_rank0(self) -> bool:
        """Whether this host validates and writes the model."""
        return self.rank == 0

    def broadcast(self, value: _T) -> _T:
        """Rank 0's value, on every host; the other hosts' arguments are ignored."""
        return value

    def assert_same_on_all_ranks(self, facts: Mapping[str, Any]) -> None:
        """Raises ConfigError, on every host, when a host's facts (JSON) differ from rank 0's."""

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum over the hosts of a tensor of the same shape on all of them."""
        return values

    def average_gradients(self, parameters: Iterable[nn.Parameter], weight: Tensor) -> None:
        """Replace the gradients by those of the whole batch. weight: what this host's loss was divided by, ()."""

    def sync_buffers(self, network: nn.Module) -> None:
        """Broadcast rank 0's weights, which removes floating-point drift, and average BatchNorm's statistics."""


ALONE: Final = Group()


class Hosts(Group):
    """Several hosts with a process group. All of them call the same methods in the same order; each method raises
    HostLostError when a host is gone.
    """

    def __init__(self, job: Job) -> None:
        self._names = job.hosts
        self.rank, self.size = job.hosts.index(job.current_host), len(job.hosts)

    def broadcast(self, value: _T) -> _T:
        values = [value]
        with self._together():
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def assert_same_on_all_ranks(self, facts: Mapping[str, Any]) -> None:
        all_facts: list[Any] = [None] * self.size
        with self._together():
            dist.all_gather_object(all_facts, dict(facts))
        for name, others in zip(self._names, all_facts, strict=True):
            if differing := [what for what, value in all_facts[0].items() if others[what] != value]:
                raise ConfigError(
                    f"host {name} has other {' and other '.join(differing)} than {self._names[0]}; give all hosts the "
                    "same configuration and each of them all the data (FullyReplicated)"
                )

    def all_reduce(self, values: Tensor) -> Tensor:
        values = values.clone()
        with self._together():
            dist.all_reduce(values)
        return values

    def average_gradients(self, parameters: Iterable[nn.Parameter], weight: Tensor) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        # One exchange for all gradients, and the weight at the end.
        parts = [gradient.reshape(-1) for gradient in gradients]
        flat = torch.cat([*parts, torch.ones_like(parts[0][:1])])
        flat *= weight.to(flat)
        with self._together():
            dist.all_reduce(flat)
        flat[:-1] /= flat[-1].clone()
        _spread(flat[:-1], gradients)

    def sync_buffers(self, network: nn.Module) -> None:
        weights = [parameter.data for parameter in network.parameters()]
        flat = torch.cat([weight.reshape(-1) for weight in weights])
        with self._together():
            dist.broadcast(flat, src=0)
        _spread(flat, weights)
        if statistics := [buffer for buffer in network.buffers() if buffer.is_floating_point()]:
            _spread(self.all_reduce(torch.cat([buffer.reshape(-1) for buffer in statistics])) / self.size, statistics)

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            # Where a signal ended the other host, one ends this host too, and is then the reported cause.
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
def join_hosts(job: Job, device: torch.device) -> Iterator[Group]:
    """The job's hosts, once all of them are connected.

    At the end the other hosts wait until rank 0's process has ended: some platforms end the job when one host ends,
    and by then the artifact has to be written. Raises HostLostError when a host doesn't connect within half an hour,
    ConfigError when KENNEL_TRAINING_PORT is no port.
    """
    if len(job.hosts) == 1:
        yield ALONE
        return
    rank0, port = job.hosts[0], read_port(os.environ, PORT_VARIABLE, PORT)
    if job.interface and Path("/sys/class/net", job.interface).exists():
        for library in ("GLOO", "NCCL"):
            os.environ.setdefault(f"{library}_SOCKET_IFNAME", job.interface)
    group = Hosts(job)
    print(f"hosts: {', '.join(job.hosts)}; {rank0} leads, this is {job.current_host}", flush=True)
    if not group.is_rank0:
        _wait_until_reachable(rank0, port)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        store = dist.TCPStore(rank0, port, group.size, group.is_rank0, timedelta(seconds=JOIN_S))  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=group.rank, world_size=group.size, timeout=_SILENCE)
    except RuntimeError as error:
        raise HostLostError(
            f"the hosts {', '.join(job.hosts)} don't come together ({str(error).splitlines()[0]}), "
            f"for which there are {JOIN_S / 60:g} minutes; their logs say why"
        ) from error
    yield group
    if not group.is_rank0:
        print(f"hosts: nothing further for this one, which waits for {rank0}", flush=True)
        wait_for_rank0(rank0, port)


def _wait_until_reachable(rank0: str, port: int) -> None:
    end = time.monotonic() + JOIN_S
    while True:
        try:
            socket.create_connection((rank0, port), timeout=10).close()
        # Also for a name that can't be resolved yet.
        except OSError as error:
            if time.monotonic() > end:
                raise HostLostError(
                    f"the leading host {rank0}:{port} can't be reached ({error.strerror or error}) and was tried for "
                    f"{JOIN_S / 60:g} minutes; its log says what became of it"
                ) from error
            time.sleep(_LOOK_EVERY_S)
        else:
            return


def wait_for_rank0(rank0: str, port: int) -> None:
    """Wait until nobody listens on rank 0's port any more: it is done, or gone."""
    while True:
        try:
            socket.create_connection((rank0, port), timeout=10).close()
        except OSError:
            return
        time.sleep(_LOOK_EVERY_S)
