"""Runs a command as a child process: its output goes to a log, line by line, its progress to a callback."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken, cancel_on_signals
from backends.errors import BackendError, Stopped
from backends.runs import Run
from contract.files import GrowingFile

_POLL_S = 0.1


@dataclass(frozen=True)
class OutputFiles:
    """The files that a child writes: its output, its progress and its metrics."""

    log: Path
    progress: Path
    metrics: Path | None = None

    @classmethod
    def of(cls, run: Run) -> "OutputFiles":
        """Those of a training run."""
        output = run.ml / "output"
        return cls(run.log, output / "progress.json", output / "data" / "metrics.jsonl")


def run_child(
    command: Sequence[str],
    files: OutputFiles,
    watch: ProgressCallback,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    cancel: CancelToken | None = None,
    on_start: Callable[[int], None] = lambda _pid: None,
) -> int:
    """Run until it ends; returns the exit code. `cancel`, which is Ctrl-C and SIGTERM unless it is given, reaches the
    child as one SIGTERM, so that it can leave its verdict, and raises Stopped once it has ended.

    Without `cancel` it has to be called from the main thread.
    """
    with cancel_on_signals(cancel) as token:
        child = _start(command, files.log, env, cwd)
        signalled = False
        seen: JobProgress | None = None
        try:
            on_start(child.pid)
            while child.poll() is None:
                if token.requested and not signalled:
                    child.send_signal(signal.SIGTERM)
                    signalled = True
                progress = read_progress(files.progress, files.metrics)
                if progress is not None and progress != seen:
                    seen = progress
                    watch(progress)
                time.sleep(_POLL_S)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    last = read_progress(files.progress, files.metrics)
    if last is not None and last != seen:
        watch(last)
    # It may have been done before the signal came.
    if token.requested and child.returncode != 0:
        raise Stopped("stopped")
    return child.returncode


def _start(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None, cwd: Path | None
) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        # A session of its own: Ctrl-C at the terminal must reach it once, through us, and not its helpers as well.
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, cwd=cwd,
            start_new_session=True,
        )  # fmt: skip


@contextlib.contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Within the block this thread has these CPU cores alone, all for none, and so have the children it starts."""
    if not cores or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def read_progress(progress_file: Path, metrics_file: Path | None) -> JobProgress | None:
    """The progress in the child's progress file; None before it has written one."""
    try:
        values = json.loads(progress_file.read_text())
        metrics = _last_line(metrics_file) if metrics_file else {}
        return JobProgress(values["phase"], values["done"], values["total"], values["unit"], metrics)
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
    """The last line of a log that reports an error, else its last line."""
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


_LOOK_S: Final = 0.2


def tail(file: Path, goes_on: Callable[[], bool] | None, say: Callable[[str], None]) -> None:
    """Call `say` with every line of it; with `goes_on` also with those to come, until that returns False.

    Raises BackendError when there is no such file.
    """
    if not file.is_file():
        raise BackendError(f"there is no log {file} yet")
    lines = GrowingFile(file)
    more = True
    while more:
        more = goes_on is not None and goes_on()
        for line in lines.read(ended=not more):
            say(line.decode(errors="replace").removesuffix("\n"))
        if more:
            time.sleep(_LOOK_S)
