"""A process known by its number and its start time: the system gives old process numbers out again."""

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

import psutil

_POLL_S: Final = 0.05


def identity(pid: int) -> dict[str, float]:
    """What a record notes of a process."""
    return {"pid": pid, "pid_created": psutil.Process(pid).create_time()}


def process_of(record: Mapping[str, Any]) -> psutil.Process | None:
    """The process that `identity` noted in a record; None when it has ended."""
    try:
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["pid_created"]) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (KeyError, psutil.Error):
        return None


def end_process(process: psutil.Process, limit_s: float) -> None:
    """SIGTERM to it, and SIGKILL to it and what it started after `limit_s` seconds."""
    try:
        processes = [process, *process.children(recursive=True)]
        process.terminate()
        # One that was halted hears nothing until it goes on.
        process.resume()
    except psutil.NoSuchProcess:
        return
    end = time.monotonic() + limit_s
    while time.monotonic() < end and not all(_has_ended(each) for each in processes):
        time.sleep(_POLL_S)
    left = [each for each in processes if not _has_ended(each)]
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, timeout=5)


def _has_ended(process: psutil.Process) -> bool:
    """Also one whose end its parent has yet to notice."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
