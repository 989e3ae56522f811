"""A process known by its number and its start time: the system gives old process numbers out again.

Also the NVIDIA GPUs of this machine, which processes are given, by the driver's own command.
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
        found = re.search(r"UUID: ([\w-]+)", line)
        if found and line.startswith("GPU"):
            cards.append([found[1]])
        elif found and cards:
            # What a card is divided into can be used, and the card as a whole no more.
            cards[-1] = [each for each in cards[-1] if each.startswith("MIG-")] + [found[1]]
    if visible is None:
        return [uuid for card in cards for uuid in card]
    chosen: list[str] = []
    for word in (part.strip() for part in visible.split(",")):
        if word.isdecimal() and int(word) < len(cards):
            chosen += cards[int(word)]
        elif word and (uuid := next((each for card in cards for each in card if each.startswith(word)), None)):
            chosen.append(uuid)
        else:
            break
    return chosen
