"""A server as a process tree: started, waited for, weighed, stopped."""

import contextlib
import json
import os
import random
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import psutil

from benchmarks.serving.answer import AnswerParser
from benchmarks.serving.load import Target

START_LIMIT: Final = 120.0
_STOP_LIMIT: Final = 5.0


class ServerError(Exception):
    """A server that didn't start, or answers what it shouldn't."""


@dataclass(frozen=True)
class Start:
    """seconds: from the start of the process to its first answer of 200; cpu_seconds: what the whole tree used."""

    seconds: float
    cpu_seconds: float


def free_port() -> int:
    """A port that nobody listens on now, nor on the next two; below those that the kernel gives to clients."""
    for port in random.sample(range(18000, 28000, 3), 100):
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for number in range(port, port + 3):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port
    raise ServerError("no three free ports in a row between 18000 and 28000")


def ask(target: Target, body: bytes, timeout: float = 60.0) -> tuple[int, bytes]:
    """One request: status and body of the answer. Raises OSError when the connection fails."""
    parser = AnswerParser()
    with socket.create_connection((target.host, target.port), timeout=timeout) as connection:
        connection.sendall(target.request(body))
        while not parser.complete:
            data = connection.recv(65536)
            if not data:
                parser.end()
                break
            parser.feed(data)
    if not parser.complete:
        raise ConnectionResetError("the connection ended before the answer did")
    return parser.status, parser.body


class Server:
    """A command in a session of its own, so that everything it starts can be found; its output goes to `log`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._started = time.perf_counter()
            self._process = subprocess.Popen(
                command, env=dict(environment), cwd=folder, stdout=output, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_for(self, target: Target, body: bytes, good: Callable[[bytes], object] = json.loads) -> Start:
        """Ask until the answer is 200. Raises ServerError when the process ends or `START_LIMIT` passes before."""
        last = "no connection"
        while time.perf_counter() - self._started < START_LIMIT:
            if (code := self._process.poll()) is not None:
                raise ServerError(f"it ended with exit code {code}: {self._last_line()}")
            try:
                status, answer = ask(target, body)
            except OSError as error:
                last = str(error)
            else:
                if status == 200:
                    seconds = time.perf_counter() - self._started
                    good(answer)
                    return Start(seconds, self.cpu_seconds())
                last = f"status {status}: {answer[:200]!r}"
            time.sleep(0.01)
        raise ServerError(f"no answer of 200 within {START_LIMIT:.0f} s; the last: {last}; {self._last_line()}")

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1][:200] if lines else 'no output'} (all of it: {self._log})"

    def tree(self) -> list[psutil.Process]:
        """All processes of its session, and all that descend from them: some servers give theirs a session each."""
        found: dict[int, psutil.Process] = {}
        for number in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(number) == self._process.pid:
                    member = psutil.Process(number)
                    found |= {each.pid: each for each in (member, *member.children(recursive=True))}
        return list(found.values())

    def cpu_seconds(self) -> float:
        """CPU time of the tree until now, with that of children that have ended and were waited for."""
        total = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory(self) -> int:
        """Resident bytes of the tree; a page that several of its processes share counts once."""
        total = 0
        for process in self.tree():
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                total += sum(int(kilobytes) * 1024 for kilobytes in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))
        return total

    def stop(self) -> None:
        """SIGTERM to its first process, and after a while SIGKILL to what is left."""
        tree = self.tree()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_LIMIT)
        for process in {*tree, *self.tree()}:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.wait()
        psutil.wait_procs(tree, timeout=_STOP_LIMIT)
