"""How a job's container is played: as Kennel's own commands on this machine, or by what was prepared."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from tests.forked import Popen
from tests.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[3]
ML: Final = "/opt/ml"
_POLL_S: Final = 0.05
_GRACE_S: Final = 120.0
_START_LIMIT_S: Final = 90.0
# All that a container has of the machine that plays it.
_KEPT: Final = ("PATH", "HOME", "LANG", "TMPDIR", "TORCH_HOME", "https_proxy", "HTTPS_PROXY", "OMP_NUM_THREADS")


@dataclass
class Task:
    """One container. command: as the image's entrypoint takes it. tree: its /opt/ml. say: takes a line of its log."""

    command: Sequence[str]
    tree: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def words(self) -> list[str]:
        """The command as this machine can run it."""
        first, *rest = (each.replace(ML, str(self.tree)) for each in self.command)
        if first in ("train", "serve"):
            return [sys.executable, "-m", first, *rest]
        return [sys.executable if first in ("python", "python3") else first, *rest]

    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "KENNEL_ML_ROOT": str(self.tree)}
        return {**kept, **own, **self.environment}


@dataclass(frozen=True)
class Answer:
    """What a container says to a request."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Server(Protocol):
    """A container that serves."""

    def ask(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """GET without a body, POST with one."""

    def close(self) -> None:
        """Ends it."""


class Work(Protocol):
    """What plays the containers."""

    def run(self, task: Task) -> int:
        """A job, to its end; returns its exit code."""

    def serve(self, task: Task) -> Server | None:
        """A server, once it answers /ping; None when it doesn't come up."""


class Commands:
    """Kennel's commands as processes of this machine."""

    def run(self, task: Task) -> int:
        child = _Child(task)
        process = child.process
        told_at = 0.0
        try:
            while process.poll() is None:
                if task.stop.is_set() and not told_at:
                    process.send_signal(signal.SIGTERM)
                    told_at = time.monotonic()
                if told_at and time.monotonic() - told_at > _GRACE_S:
                    process.kill()
                time.sleep(_POLL_S)
        finally:
            child.end()
        return process.returncode

    def serve(self, task: Task) -> "Server | None":
        port = free_port()
        # Not for other machines, as a container's port wouldn't be.
        here = {"SAGEMAKER_BIND_TO_PORT": str(port), "KENNEL_HOST": "127.0.0.1"}
        task.environment = {**task.environment, **here}
        server = _Process(_Child(task), f"http://127.0.0.1:{port}")
        end = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < end and not task.stop.is_set() and server.child.process.poll() is None:
            if server.answers():
                return server
            time.sleep(_POLL_S)
        server.close()
        return None


class _Child:
    """A process whose lines go to the task's log; all of them have once it has ended."""

    def __init__(self, task: Task) -> None:
        self.process = Popen(
            task.words(), env=task.environ(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="backslashreplace", start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(task.say,), daemon=True)
        self._reader.start()

    def _read(self, say: Callable[[str], None]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                say(line.rstrip("\n"))

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)


class _Process:
    """`python -m serve` behind a URL."""

    def __init__(self, child: _Child, url: str) -> None:
        self.child = child
        self._url = url

    def answers(self) -> bool:
        try:
            return self.ask("/ping", None, {}).status == 200
        except OSError:
            return False

    def ask(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(self._url + path, data=body, headers=dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(
                    answer.status, answer.headers.get("Content-Type", ""), answer.read(), dict(answer.headers)
                )
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers.get("Content-Type", ""), error.read(), dict(error.headers))

    def close(self) -> None:
        self.child.end()


class Prepared:
    """No processes: jobs leave what was laid ready, endpoints give one answer. For tests of what goes around them.

    left: a folder like an /opt/ml tree, whose model/ and output/ a training leaves. lines: what each job prints.
    code: how it ends. answer: what an endpoint says to everything, None for one that doesn't come up.
    """

    def __init__(
        self, left: Path | None = None, lines: Sequence[str] = (), code: int = 0, answer: str | None = "{}"
    ) -> None:
        self.left, self.lines, self.code, self.answer = left, lines, code, answer
        # Set it to None to let jobs and starts wait until it is set again.
        self.go = threading.Event()
        self.go.set()

    def run(self, task: Task) -> int:
        for line in self.lines:
            task.say(line)
        while not self.go.wait(_POLL_S):
            if task.stop.is_set():
                return 143
        if self.left is not None and self.code == 0:
            for folder in ("model", "output"):
                if (self.left / folder).is_dir():
                    shutil.copytree(self.left / folder, task.tree / folder, dirs_exist_ok=True)
        return self.code

    def serve(self, task: Task) -> "Server | None":
        while not self.go.wait(_POLL_S):
            if task.stop.is_set():
                return None
        for line in self.lines:
            task.say(line)
        return _Parrot(self.answer) if self.answer is not None else None


class _Parrot:
    def __init__(self, answer: str) -> None:
        self._answer = answer

    def ask(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        return Answer(200, "application/json", self._answer.encode())

    def close(self) -> None:
        """There is nothing to end."""
