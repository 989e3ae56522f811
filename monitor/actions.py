"""What is done because a rule fired: a request sent to the training process, or a command run beside it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from contract.files import write_atomic
from contract.rules.request import FINISH, REPORT, RUN, STOP

COMMAND_LIMIT_S: Final = 60.0
# From the request to SIGTERM, for a training process that doesn't get to its next step: a step may take long, unless
# nothing has moved for long already. From there to SIGKILL.
GRACE_S: Final = 120.0
GRACE_STUCK_S: Final = 10.0
KILL_AFTER_S: Final = 60.0


@dataclass
class _Command:
    rule: str
    process: "subprocess.Popen[bytes]"
    started: float


class Commands:
    """Commands of rules, run by the shell beside everything else. Their output goes to the log."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._running: list[_Command] = []

    def run(self, command: str, rule: str, step: int | None, finding: str) -> None:
        """Start it, with KENNEL_RULE, KENNEL_STEP and KENNEL_FINDING in its environment."""
        about = {"KENNEL_RULE": rule, "KENNEL_STEP": "" if step is None else str(step), "KENNEL_FINDING": finding}
        self._say(f"{rule}: runs {command}")
        # By the shell, as whoever configured the training wrote it.
        process = subprocess.Popen(command, shell=True, stdin=subprocess.DEVNULL, env={**os.environ, **about})  # noqa: S602
        self._running.append(_Command(rule, process, time.monotonic()))

    def look(self) -> bool:
        """Report those that failed, end those that take too long; whether any still runs."""
        for each in list(self._running):
            code = each.process.poll()
            if code is None and time.monotonic() - each.started > COMMAND_LIMIT_S:
                _kill(each.process)
                self._say(f"{each.rule}: its command was ended after {COMMAND_LIMIT_S:g} s")
                self._running.remove(each)
            elif code is not None:
                if code:
                    self._say(f"{each.rule}: its command failed with exit code {code}")
                self._running.remove(each)
        return bool(self._running)

    def wait(self, seconds: float) -> None:
        """Let them end; those that don't are ended."""
        end = time.monotonic() + seconds
        while self.look() and time.monotonic() < end:
            time.sleep(0.05)
        for each in self._running:
            _kill(each.process)
            self._say(f"{each.rule}: its command was ended, as the training has ended")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(psutil.Error):
        shell = psutil.Process(process.pid)
        for each in [*shell.children(recursive=True), shell]:
            with suppress(psutil.Error):
                each.kill()
    process.wait()


class Stopper:
    """Asks the training process to end, and ends it if it is stuck. Only the first request counts.

    pipe: to the training process; failure: the file for its reason, should it have to be killed.
    """

    def __init__(self, pipe: int, pid: int, failure: Path, say: Callable[[str], None]) -> None:
        self._pipe = pipe
        self._pid = pid
        self._failure = failure
        self._say = say
        self._asked: float | None = None
        self._signalled: float | None = None
        self._obeyed = False
        self._grace = GRACE_S
        self._request: Mapping[str, object] = {}

    @property
    def reason(self) -> str | None:
        """What was asked for; None if nothing was."""
        return str(self._request["reason"]) if self._request else None

    def ask(self, action: str, reason: str, stuck: bool = False) -> bool:
        """Whether this is the first request. stuck: the training makes no progress as far as is known."""
        if self._request:
            return False
        self._request = {"event": "stop", "success": action == FINISH, "reason": reason}
        self._asked = time.monotonic()
        self._grace = GRACE_STUCK_S if stuck else GRACE_S
        self._send(self._request)
        return True

    def _send(self, message: Mapping[str, object]) -> None:
        with suppress(OSError):
            os.write(self._pipe, json.dumps(message).encode() + b"\n")

    def obeyed(self) -> None:
        """The training process has read it."""
        self._obeyed = True

    def look(self) -> None:
        """Once the grace period is over, SIGTERM; much later, SIGKILL, and the failure file in its place."""
        # Our parent, so no other process can have got its number.
        if self._asked is None or self._obeyed or os.getppid() != self._pid:
            return
        now = time.monotonic()
        if self._signalled is None and now - self._asked > self._grace:
            self._say("the training process doesn't get to its next step and is sent SIGTERM")
            self._signalled = now
            self._send({"event": "signal"})
            os.kill(self._pid, signal.SIGTERM)
        elif self._signalled is not None and now - self._signalled > KILL_AFTER_S:
            self._say("the training process doesn't react to SIGTERM and is killed")
            self._obeyed = True
            write_atomic(self._failure, f"ClientError: {self.reason}\n".encode())
            os.kill(self._pid, signal.SIGKILL)


def done(action: str) -> str | None:
    """An action in words, for the report."""
    return {
        REPORT: None,
        STOP: "stopped the training as failed",
        FINISH: "ended the training as completed",
    }.get(action, f"ran the command {action.removeprefix(RUN)}")
