"""`python -m serve` as a process on a free port, and plain HTTP to it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.forked import Popen

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
JPEG = {"Content-Type": "image/jpeg"}


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without anything that would set up Kennel, and `settings`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KENNEL_", "SAGEMAKER_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def eventually(what: str, holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"waited {PATIENCE_S:g} s in vain: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message, after checking that the body has the one form of an error."""
        assert self.headers["content-type"] == "application/json", self
        assert set(self.json) == {"error"}, self
        assert set(self.json["error"]) - {"images"} == {"code", "message"}, self
        assert self.json["error"]["code"] == self.status, self
        return str(self.json["error"]["message"])


class Served:
    """fresh: make all imports, for tests of the start and of memory."""

    def __init__(self, ml_root: Path, log: Path, fresh: bool = False, /, **settings: str) -> None:
        self.log_file = log
        defaults = {"KENNEL_HOST": "127.0.0.1", "KENNEL_PORT": "0", "KENNEL_THREADS": "1"}
        self._output = log.open("wb")
        self.process = (subprocess.Popen if fresh else Popen)(
            [sys.executable, "-m", "serve"],
            env=environment(KENNEL_ML_ROOT=str(ml_root), **{**defaults, **settings}),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.port = 0

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_listening(self) -> None:
        def found() -> bool:
            assert self.process.poll() is None, self.log
            match = re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log)
            self.port = int(match[1]) if match else 0
            return bool(match)

        eventually("the server listens", found)

    def wait_ready(self) -> None:
        self.wait_listening()
        eventually("/ping says 200", lambda: self.ping() == 200)

    def ping(self) -> int:
        """The status of /ping; 0 when nobody answers."""
        try:
            return self.request("GET", "/ping").status
        except (OSError, http.client.HTTPException):
            assert self.process.poll() is None, self.log
            return 0

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def invoke(self, body: bytes, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/invocations", body, {**JPEG, **named})

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def workers(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End it, and whatever it has started, come what may."""
        if self.process.poll() is None:
            family = [*psutil.Process(self.process.pid).children(recursive=True)]
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for child in family:
                if child.is_running():
                    child.kill()
        self._output.close()


class Background:
    """A call that is under way in a thread."""

    def __init__(self, call: Callable[[], Answer]) -> None:
        self._result: list[Answer] = []
        self._thread = threading.Thread(target=lambda: self._result.append(call()))
        self._thread.start()

    def result(self) -> Answer:
        self._thread.join(60)
        assert self._result, "no answer came"
        return self._result[0]


def read_answer(sock: socket.socket) -> Answer:
    """The answer that a raw connection brings."""
    response = http.client.HTTPResponse(sock)
    response.begin()
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
