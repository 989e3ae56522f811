"""deploy.py as a process, which can be killed like any other while a test goes on elsewhere."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.forked import ROOT, Popen


@dataclass
class Ended:
    """How a command ended. code: negative for a signal, as subprocess has it. said: stdout and stderr together."""

    code: int
    said: str


class Driver:
    """As a context manager: starts one command at a time, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[Any] | None = None
        self._started = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def start(self, *arguments: str | Path, environment: Mapping[str, str]) -> int:
        """The command's process number."""
        self._started.clear()
        with (self._folder / "said.txt").open("wb") as said:
            self._process = Popen(
                [sys.executable, str(ROOT / "deploy.py"), *map(str, arguments)], env={**os.environ, **environment},
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        self._started.set()
        return self._process.pid

    @property
    def pid(self) -> int:
        """The process number of the command that was started last, from any thread."""
        self._started.wait()
        assert self._process is not None
        return self._process.pid

    def wait(self) -> Ended:
        """Until the command has ended."""
        assert self._process is not None
        return Ended(self._process.wait(), (self._folder / "said.txt").read_text())

    def run(self, *arguments: str | Path, environment: Mapping[str, str]) -> Ended:
        """Both."""
        self.start(*arguments, environment=environment)
        return self.wait()
