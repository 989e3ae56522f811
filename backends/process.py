"""A process known by its number and its start time: the system gives old process numbers out again."""

from collections.abc import Mapping
from typing import Any

import psutil


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
    _, left = psutil.wait_procs(processes, timeout=limit_s)
    for each in left:
        each.kill()
    psutil.wait_procs(left, timeout=5)
