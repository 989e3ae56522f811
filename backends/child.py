"""Runs a command as a child process: its output goes to a log, its progress to whoever watches."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from backends.base import Progress, Watch
from backends.errors import Stopped

_POLL_S = 0.1


def run_child(
    command: Sequence[str],
    *,
    log: Path,
    watch: Watch,
    progress_file: Path,
    metrics_file: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_start: Callable[[int], None] = lambda _pid: None,
) -> int:
    """Run until it ends; returns the exit code. Ctrl-C and SIGTERM reach the child as one SIGTERM, so that it can
    leave its verdict, and raise Stopped once it has ended.
    """
    with log.open("ab") as output:
        # A session of its own: Ctrl-C at the terminal must reach it once, through us, and not its helpers as well.
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, cwd=cwd,
            start_new_session=True,
        )  # fmt: skip
    stop = _StopSignals()
    on_start(child.pid)
    told = False
    seen: Progress | None = None
    try:
        while child.poll() is None:
            if stop.requested and not told:
                child.send_signal(signal.SIGTERM)
                told = True
            progress = read_progress(progress_file, metrics_file)
            if progress is not None and progress != seen:
                seen = progress
                watch(progress)
            time.sleep(_POLL_S)
    finally:
        stop.restore()
        if child.poll() is None:
            child.kill()
            child.wait()
    last = read_progress(progress_file, metrics_file)
    if last is not None and last != seen:
        watch(last)
    # It may have been through before the signal came.
    if stop.requested and child.returncode != 0:
        raise Stopped("stopped")
    return child.returncode


class _StopSignals:
    """While it is there, SIGINT and SIGTERM only set `requested`."""

    def __init__(self) -> None:
        self.requested = False
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.requested:
            print("stopping ...", file=sys.stderr, flush=True)
        self.requested = True

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def read_progress(progress_file: Path, metrics_file: Path | None) -> Progress | None:
    """What the child's progress file says now; None before it has written one."""
    try:
        values = json.loads(progress_file.read_text())
        metrics = _last_line(metrics_file) if metrics_file else {}
        return Progress(values["phase"], values["done"], values["total"], values["unit"], metrics)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _last_line(file: Path) -> dict[str, float]:
    try:
        lines = file.read_text().splitlines()
        value = json.loads(lines[-1]) if lines else {}
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def last_error(log: Path) -> str:
    """The most telling line at a log's end: the last that says error, else the last at all."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    for line in reversed(lines[-50:]):
        if line.startswith(("error: ", "ClientError: ", "AlgorithmError: ", "Stopped: ")):
            return line.removeprefix("error: ").removeprefix("ClientError: ")
    return lines[-1] if lines else "it ended without a word"


def python_environment(root: Path, **values: str) -> dict[str, str]:
    """The environment for a Python child that runs this project's packages."""
    return {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1", **values}
