"""deploy.py many times over, without the seconds that its imports take: a process that has made them forks for each.

Each command is a process of its own, with its own environment and output, which can be killed like any other.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Ended:
    """How a command ended. code: negative for a signal, as subprocess has it. said: stdout and stderr together."""

    code: int
    said: str


class Driver:
    """As a context manager: starts one command at a time."""

    def __init__(self, folder: Path) -> None:
        self._out = folder / "said.txt"
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cloud.driver"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1,
        )  # fmt: skip
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def start(self, *arguments: str | Path, environment: Mapping[str, str]) -> int:
        """The command's process number."""
        assert self._process.stdin is not None
        self._started.clear()
        wish = {"argv": [str(each) for each in arguments], "environment": dict(environment), "out": str(self._out)}
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        self._pid = int(self._told()["pid"])
        self._started.set()
        return self._pid

    @property
    def pid(self) -> int:
        """The process number of the command that was started last, from any thread."""
        self._started.wait()
        return self._pid

    def wait(self) -> Ended:
        """Until the command has ended."""
        return Ended(int(self._told()["code"]), self._out.read_text())

    def run(self, *arguments: str | Path, environment: Mapping[str, str]) -> Ended:
        """Both."""
        self.start(*arguments, environment=environment)
        return self.wait()

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that starts the commands has ended"
        value: dict[str, Any] = json.loads(line)
        return value


def _serve() -> None:
    """Read wishes from stdin, tell process numbers and exit codes on stdout."""
    from importlib import import_module

    from backends.cloud.sdk import sdk

    for module in ("deploy", "backends.cloud.backend", "backends.cloud.inventory", "backends.pipeline"):
        import_module(module)
    for module in ("estimator", "tuner", "session", "transformer", "processing", "debugger"):
        sdk(module)
    for line in sys.stdin:
        wish = json.loads(line)
        child = os.fork()
        if not child:
            _child(wish)
        print(json.dumps({"pid": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _child(wish: dict[str, Any]) -> None:
    """deploy.py, in the process that was forked for it. Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(wish["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
        os.dup2(1, 2)
        os.environ.update(wish["environment"])
        os.chdir(Path(wish["out"]).parent)
        from deploy import app

        app(wish["argv"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it is, the test has to see it
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
