"""Run many small jobs in a few processes, with a bar on a terminal."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

AT_A_TIME = 8
Job = TypeVar("Job")


def available_cpus() -> int:
    """The number of CPUs this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def run_all(function: Callable[[Job], None], jobs: Sequence[Job], workers: int, title: str | None = None) -> None:
    """Call the function on every job; with a title, show a bar when standard error is a terminal.

    What the function raises stops the work and is raised here.
    """
    workers = min(workers, max(1, len(jobs) // AT_A_TIME))
    if workers == 1:
        _follow(map(function, jobs), len(jobs), title)
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(os.getpid(),)) as pool:
        try:
            _follow(pool.map(function, jobs, chunksize=AT_A_TIME), len(jobs), title)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _follow(done: Iterator[None], total: int, title: str | None) -> None:
    shown = title is not None and sys.stderr.isatty()
    started = time.monotonic()
    for number, _ in enumerate(done, start=1):
        if shown and (number % AT_A_TIME == 0 or number == total):
            left = (time.monotonic() - started) / number * (total - number)
            bar = "#" * (number * 30 // total)
            sys.stderr.write(f"\r{title} [{bar:<30}] {number}/{total}, {left:.0f} s left ")
            sys.stderr.flush()
    if shown and total:
        sys.stderr.write("\n")
