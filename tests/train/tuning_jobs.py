"""Jobs that search in several processes, followed line by line."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from tests.train.support import QUICK, TIMEOUT_S, Finished, configure, make_classes, start

SEARCH = {**QUICK, "freeze": "backbone", "feature_views": "1", "tune_space": "lr=0.001:0.1:log; batch_size=4,8"}


def prepare(root: Path, others: Mapping[str, object] | None = None, **hyperparameters: str) -> Path:
    """A tree with tiny pictures and the configuration of a search."""
    make_classes(root / "input" / "data" / "train", 6)
    make_classes(root / "input" / "data" / "valid", 3, seed=100)
    configure(root, {**SEARCH, **hyperparameters}, others)
    return root


class Followed:
    """`python -m train`, whose log can be waited for."""

    def __init__(self, root: Path, environ: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.process: subprocess.Popen[str] = start(["train"], root, environ)
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Its end, however the test ends; a worker that a test holds is killed with it."""
        if self.process.poll() is None:
            for each in psutil.Process(self.process.pid).children(recursive=True):
                each.kill()
            self.process.kill()
            self.process.wait()

    def until(self, words: str) -> re.Match[str]:
        """Wait for a line that this expression is found in."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said += line
            if found := re.search(words, line):
                return found
        raise AssertionError(f"it never said {words}: {self._said} {self.process.communicate()}")

    def worker(self) -> tuple[int, int]:
        """Wait for a worker's beginning; its number and process id."""
        found = self.until(r"search: worker process (\d+) has begun \(process id (\d+), ")
        return int(found[1]), int(found[2])

    def hold_worker(self) -> int:
        """Hold up the worker that begins next; its process id."""
        _, pid = self.worker()
        os.kill(pid, signal.SIGSTOP)
        return pid

    def workers(self) -> dict[int, int]:
        """Wait for two workers' beginning, the first of which is held up until the second is there too, so that it
        can't have all the trials; number -> process id.
        """
        first, pid = self.worker()
        os.kill(pid, signal.SIGSTOP)
        try:
            second = self.worker()
        finally:
            os.kill(pid, signal.SIGCONT)
        return dict([(first, pid), second])

    def finish(self) -> Finished:
        """To its end."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process:
            try:
                self._said += self.process.stdout.read()
                err = self.process.stderr.read()
                self.process.wait(TIMEOUT_S)
            finally:
                self.process.kill()
        return Finished(self.root, self.process.returncode, self._said, err)


def tuning(job: Finished) -> dict[str, Any]:
    """tuning.json."""
    document: dict[str, Any] = json.loads((job.root / "output" / "data" / "tuning.json").read_text())
    return document


def trials_of(job: Finished, worker: int) -> int:
    """How many trials a worker process says that it had."""
    found = re.search(rf"search: worker process {worker} has ended, after (\d+) trials", job.out)
    assert found, job.out
    return int(found[1])
