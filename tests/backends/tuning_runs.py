"""Searches on tiny photos, by deploy.py."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from backends.child import pinned
from tests.backends.terminal import start

# The head alone, on features that the trials share.
FAST = ("--set", "pretrained=none", "--set", "image_size=32", "--set", "freeze=backbone", "--set", "device=cpu")
# Nothing that a trial would go without.
BARE = ("--set", "export=none", "--set", "debug=off", "--set", "profile=off", "--set", "tensorboard=off")


def read(file: Path) -> dict[str, Any]:
    value = json.loads(file.read_text())
    assert isinstance(value, dict)
    return value


def record(run: Path) -> dict[str, Any]:
    return read(run / "run.json")


def document(run: Path) -> dict[str, Any]:
    return read(run / "ml" / "output" / "data" / "tuning.json")


def manifest(run: Path) -> dict[str, Any]:
    return read(run / "ml" / "model" / "kennel.json")


def epochs(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "ml" / "output" / "data" / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "validation_loss" in row]


def started(run: Path) -> bool:
    """Whether the run's process is there, as far as the record goes."""
    try:
        return "pid" in record(run)
    except (OSError, ValueError):
        return False


def trains(run: Path) -> bool:
    """Whether an epoch has ended."""
    return (run / "ml" / "output" / "data" / "metrics.jsonl").is_file() and bool(epochs(run))


def one_core() -> AbstractContextManager[None]:
    """What is started in the block has one core: batches this small run no faster on more."""
    return pinned({max(os.sched_getaffinity(0))} if sys.platform == "linux" else ())


@contextmanager
def search(*arguments: str | Path) -> "Iterator[subprocess.Popen[str]]":
    """A search that runs; whatever happens in the block, it has ended afterwards."""
    with start("tune", *arguments) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def wait(condition: Callable[[], bool], process: "subprocess.Popen[str]", limit: float = 200) -> None:
    """Wait until it is so, as long as the process lives."""
    end = time.monotonic() + limit
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
