"""A process known by its number and its start time: the system gives old process numbers out again.

Also the NVIDIA GPUs of this machine, as the driver's own command lists them.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from typing import Any, Final

import psutil

_POLL_S: Final = 0.05


def identity(pid: int) -> dict[str, float]:
    """The entries of a record that identify a process."""
    return {"pid": pid, "pid_created": psutil.Process(pid).create_time()}


def process_of(record: Mapping[str, Any]) -> psutil.Process | None:
    """The process of `identity` in a record; None when it has ended."""
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
        # A halted process handles no signal until it goes on.
        process.resume()
    except psutil.NoSuchProcess:
        return
    end = time.monotonic() + limit_s
    while time.monotonic() < end and not all(map(_has_ended, processes)):
        time.sleep(_POLL_S)
    left = [remaining for remaining in processes if not _has_ended(remaining)]
    for remaining in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            remaining.kill()
    psutil.wait_procs(left, timeout=5)


def _has_ended(process: psutil.Process) -> bool:
    """Whether it has ended, even if its parent hasn't waited for it yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


_LIMIT_S = 30


def gpu_uuids() -> list[str]:
    """UUIDs, of a divided GPU those of its parts; none without the driver. CUDA_VISIBLE_DEVICES limits them."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        answer = subprocess.run([command, "-L"], capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible_uuids(answer.stdout, visible) if answer.returncode == 0 else []


def visible_uuids(listing: str, visible: str | None) -> list[str]:
    """The UUIDs in what `nvidia-smi -L` printed, limited as CUDA does: by indices or by UUIDs, up to the first
    that isn't there.
    """
    cards: list[list[str]] = []
    for line in listing.splitlines():
        match = re.search(r"UUID: ([\w-]+)", line)
        if match and line.startswith("GPU"):
            cards.append([match[1]])
        elif match and cards:
            # The parts of a divided card can be used, and the card as a whole no more.
            cards[-1] = [uuid for uuid in cards[-1] if uuid.startswith("MIG-")] + [match[1]]
    if visible is None:
        return [uuid for card in cards for uuid in card]
    uuids: list[str] = []
    for word in (part.strip() for part in visible.split(",")):
        if word.isdecimal() and int(word) < len(cards):
            uuids += cards[int(word)]
        elif word and (uuid := next((uuid for card in cards for uuid in card if uuid.startswith(word)), None)):
            uuids.append(uuid)
        else:
            break
    return uuids
