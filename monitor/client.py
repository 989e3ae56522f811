"""The training's side of the monitor process: starts it, receives its requests, reports how training ended.

Both pipes carry JSON objects, a line each. To the monitor: `job` (first), `started`, `step`, `stopping`, `trained`,
`end`; when the pipe closes without `end`, training has died. From it: `stop`, `signal`. Standard
library only: it is started before the libraries of training are imported, or after a search, before its best trial
is trained.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from contract.job import Job
from contract.paths import MLPaths

_ROOT: Final = Path(__file__).resolve().parents[1]
# How long the reports may take. After a signal SIGKILL follows within 120 s, and some of it has gone by.
LIMIT_S: Final = 60.0
LIMIT_AFTER_SIGNAL_S: Final = 20.0
_STEP_EVERY_S: Final = 1.0


@dataclass(frozen=True)
class StopRequest:
    """A request to end training. success: end it as completed, with the best epoch so far."""

    reason: str
    success: bool = False


class MonitorProcess:
    """At most one process. Whatever happens to it, training goes on."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._unread = b""
        self._step_sent = 0.0
        self.stop_request: StopRequest | None = None
        self.sent_signal = False  # SIGTERM came from it, as the training process was stuck

    def start(self, paths: MLPaths, job: Job, began: float | None = None) -> None:
        """Start it, if there is anything to watch.

        began: seconds since the epoch, where this process did something else before: a search, say.
        """
        hyperparameters = job.hyperparameters
        if hyperparameters.debug == "off" and hyperparameters.profile == "off":
            return
        self._pipe, write = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            self._process = subprocess.Popen(
                # A session of its own: what Ctrl-C ends at a terminal must not end the reports.
                [sys.executable, "-m", "monitor", str(write)], stdin=subprocess.PIPE, pass_fds=(write,),
                start_new_session=True, env={**os.environ, "PYTHONPATH": _python_path()},
            )  # fmt: skip
        except OSError as error:
            _warn(f"the monitor process can't be started ({error.strerror}): no rules and no reports this time")
            os.close(self._pipe)
            return
        finally:
            os.close(write)
        self._send(
            event="job", root=str(paths.root), pid=os.getpid(), started=time.time(), began=began,
            hyperparameters=asdict(hyperparameters),
        )  # fmt: skip
        # From now on a monitor that is busy must not hold training up: what doesn't fit the pipe is left out.
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def started(self, epochs: int, steps_per_epoch: int) -> None:
        """Training begins: what is saved from now on is this job's."""
        self._send(event="started", epochs=epochs, steps_per_epoch=steps_per_epoch)

    def trained(self) -> None:
        """The last step is done; what follows are tests and files."""
        self._send(event="trained")

    def step(self, number: int) -> None:
        """A step is done: sign of life, sent once a second at most."""
        now = time.monotonic()
        if now - self._step_sent >= _STEP_EVERY_S:
            self._step_sent = now
            self._send(event="step", step=number)

    def listen(self) -> StopRequest | None:
        """The newest request, without waiting. Prints, once, that the monitor is gone."""
        if self._pipe < 0:
            return self.stop_request
        try:
            content = os.read(self._pipe, 65536)
        except BlockingIOError:
            return self.stop_request
        if not content:
            self._lost()
        *lines, self._unread = (self._unread + content).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["event"] == "signal":
                self.sent_signal = True
            else:
                self.stop_request = StopRequest(message["reason"], message["success"])
                self._send(event="stopping")
        return self.stop_request

    def end(self, completed: bool, reason: str | None, cut_short: bool) -> None:
        """Report the outcome and wait for the reports; a monitor that takes too long is killed, with a warning.

        cut_short: by a signal, so that there is less time. One that comes meanwhile shortens it, too.
        """
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        with suppress(OSError):
            os.set_blocking(process.stdin.fileno(), True)
            process.stdin.write(_line(event="end", completed=completed, reason=reason, cut_short=cut_short))
        with suppress(OSError):
            process.stdin.close()
        limit = LIMIT_AFTER_SIGNAL_S if cut_short else LIMIT_S
        start = time.monotonic()
        with _signals_noted() as signals:
            while process.poll() is None:
                if time.monotonic() - start > (LIMIT_AFTER_SIGNAL_S if signals else limit):
                    _warn(f"the monitor did not end within {limit:g} s and is killed: its reports may be missing")
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    break
                time.sleep(0.02)
            else:
                if process.returncode and self._pipe >= 0:
                    _warn(f"the monitor ended with exit code {process.returncode}: its reports may be missing")
        self._close()

    def _lost(self) -> None:
        self._close()
        _warn("the monitor process has ended early: no rules and no reports from now on; training goes on")

    def _close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _send(self, **message: Any) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                # Unbuffered: what a full pipe refuses must not be kept and sent half.
                os.write(self._process.stdin.fileno(), _line(**message))


def _python_path() -> str:
    return os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _warn(text: str) -> None:
    print(f"WARNING: {text}", file=sys.stderr, flush=True)


@contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """While waiting for the reports, signals only shorten it: the verdict has been given."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda each, _frame: came.append(each))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
