"""The worker processes of one host, each with its GPU or its share of the cores."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Final

from contract.command import machine_fault, print_whole_lines
from contract.environment import environment
from contract.errors import UserError
from model.machine import available_cpus

_GPUS: Final = "CUDA_VISIBLE_DEVICES"
_ENDED_WITHIN_S: Final = 5.0
EXIT_USER, EXIT_SIGTERM = 2, 143


class NoWorkerError(UserError):
    """All worker processes have ended before the search did."""


@dataclass(frozen=True)
class Slot:
    """Where a worker runs. environ: variables it is started with. threads: of torch. cores: its own; empty: any."""

    environ: Mapping[str, str]
    threads: int
    cores: tuple[int, ...] = ()


def slots_of(wanted: int, gpus: int, environ: Mapping[str, str] = os.environ) -> tuple[Slot, ...]:
    """The places for `wanted` workers; for 0 one for each of the `gpus` GPUs that torch sees, without any one.

    Workers get the GPUs in turn, and even shares of the cores: their own ones, unless a container's limit on CPU time
    says how many cores there are, but not which.
    """
    count = wanted or max(1, gpus)
    available, cores = available_cpus(), _cores()
    threads = max(1, available // count)
    own = threads * count <= available == len(cores)
    given = environ.get(_GPUS)
    names = [name.strip() for name in given.split(",")] if given else [str(number) for number in range(gpus)]
    return tuple(
        Slot(
            {"OMP_NUM_THREADS": str(threads), **({_GPUS: names[number % gpus]} if gpus else {})},
            threads,
            tuple(cores[number * threads : (number + 1) * threads]) if own else (),
        )
        for number in range(count)
    )


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


class WorkerPool:
    """One process for each slot, numbered from 1, while the `with` block lasts; none outlives this process.

    work: called in each with its number and the slot; it has to be importable, or picklable. A UserError of it ends
    the process with its sentence.
    """

    def __init__(self, host: str, slots: tuple[Slot, ...], work: Callable[[str, int, Slot], None]) -> None:
        self.name = f"{host}:{uuid.uuid4().hex[:12]}"
        self._slots, self._work = slots, work
        self._running: dict[int, BaseProcess] = {}
        self._messages: dict[int, Connection] = {}
        self._last = ""
        self._ours = False
        self.served = False  # a worker has learned that there is no further trial

    def __enter__(self) -> "WorkerPool":
        try:
            for number, slot in enumerate(self._slots, start=1):
                self._start(number, slot)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, fault: object, *_: object) -> None:
        if fault is None:
            # They know that there is no further trial, and are about to end.
            _join(list(self._running.values()))
        self._end()

    @property
    def size(self) -> int:
        """How many are running."""
        return len(self._running)

    def wait(self, seconds: float) -> dict[int, str]:
        """Wait for so long or until some end; number -> why, of those that should not have."""
        sentinels = {process.sentinel: number for number, process in self._running.items()}
        ended = [sentinels[each] for each in wait(list(sentinels), seconds) if isinstance(each, int)]
        found = {number: self._why(number) for number in ended}
        return {number: why for number, why in found.items() if why}

    def gone(self) -> Exception:
        """What to raise when none is running, and the search is not over."""
        text = f"no worker process is left, and the search is not over: {self._last}"
        return RuntimeError(text) if self._ours else NoWorkerError(text)

    def _start(self, number: int, slot: Slot) -> None:
        # CUDA does not survive a fork.
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        # Not a daemon: those may not have processes of their own, as those that load images are.
        process = context.Process(target=_begin, args=(self._work, self.name, number, slot, sender), daemon=False)
        with environment(slot.environ), _interrupts_held_back():
            process.start()
        sender.close()
        self._running[number], self._messages[number] = process, receiver

    def _why(self, number: int) -> str | None:
        process, receiver = self._running.pop(number), self._messages.pop(number)
        process.join()
        sentence = ""
        with receiver, suppress(EOFError, OSError):
            sentence = receiver.recv_bytes().decode()
        code = process.exitcode
        if code == 0:
            self.served = True
            return None
        self._ours = code is not None and code > 0 and not sentence
        self._last = sentence or f"worker process {number} {_ending(code or 0)}"
        return self._last

    def _end(self) -> None:
        processes = list(self._running.values())
        for process in processes:
            process.terminate()
        _join(processes)
        for process in processes:
            process.kill()
            process.join()
        for receiver in self._messages.values():
            receiver.close()
        self._running.clear()
        self._messages.clear()


def _join(processes: Sequence[BaseProcess]) -> None:
    end = time.monotonic() + _ENDED_WITHIN_S
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))


def _begin(work: Callable[[str, int, Slot], None], crew: str, number: int, slot: Slot, sender: Connection) -> None:
    """In the new process."""
    # Ctrl-C at a terminal reaches every process; this one ends when its parent does or terminates it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminated)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    print_whole_lines()
    if slot.cores:
        os.sched_setaffinity(0, slot.cores)
    try:
        work(crew, number, slot)
    except Exception as error:
        sentence = str(error) if isinstance(error, UserError) else machine_fault(error)
        if not sentence:
            raise
        print(f"worker process {number}: {sentence}", file=sys.stderr, flush=True)
        sender.send_bytes(sentence.encode("utf-8", "backslashreplace"))
        sys.exit(EXIT_USER)
    finally:
        # What Python itself does at the end is nothing to clean up after.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(EXIT_SIGTERM)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}; the log has its traceback"
    hint = "; if the machine was out of memory, lower tune_parallel" if -code == signal.SIGKILL else ""
    return f"was killed by signal {-code} ({signal.strsignal(-code)}){hint}"


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block SIGINT, so that what is started in the block can ignore it before any arrives."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
