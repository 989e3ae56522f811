"""The server process: gunicorn, set up for one model."""

import logging
import mmap
import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication

from contract.errors import ConfigError, UserError
from contract.paths import MLPaths
from model.artifact import Artifact
from serve.app import create_app
from serve.engines import registry
from serve.engines.base import EngineOptions
from serve.log import GunicornLogger
from serve.model_host import Model, ModelHost
from serve.settings import ServeSettings
from serve.worker import Worker

_log = logging.getLogger(__name__)

# Above the 60 s after which load balancers drop an idle connection, so that they do it and not we.
_KEEPALIVE_S: Final = 75
# SageMaker and Docker send SIGKILL 30 s after SIGTERM.
_GRACE_S: Final = 25
# A worker whose accepting loop is silent for so long is replaced.
_HEARTBEAT_S: Final = 60
# Beside the requests that are worked on: for /ping, and for answering others that the server is full.
_SPARE_THREADS: Final = 32
EXIT_USER: Final = 2
# What makes gunicorn end instead of starting the worker again and again.
BOOT_ERROR: Final = 3

_SLOTS: Final = 1024
_LONGEST_MESSAGE: Final = 2048


class WorkerStatus:
    """Which workers are ready, and why one couldn't start: memory that the master makes before it forks.

    A worker is known by its number (its age). Each byte is written by one process, so there are no locks.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1 + 1 + _SLOTS + _LONGEST_MESSAGE)

    def expect(self, workers: int) -> None:
        """Set how many workers there shall be."""
        self._memory[0] = workers

    def mark(self, worker: int, ready: bool) -> None:
        self._memory[2 + worker % _SLOTS] = ready

    def all_ready(self) -> bool:
        return sum(self._memory[2 : 2 + _SLOTS]) >= self._memory[0]

    def report_failure(self, message: str, exit_code: int) -> None:
        """Why a worker can't start, for the master, which outlives it, and the code to exit with."""
        text = message.encode()[:_LONGEST_MESSAGE]
        self._memory[-_LONGEST_MESSAGE:] = text.ljust(_LONGEST_MESSAGE, b"\0")
        self._memory[1] = exit_code

    def failure(self) -> tuple[str, int]:
        """(message, exit code), which is 0 when all workers could start."""
        return bytes(self._memory[-_LONGEST_MESSAGE:]).rstrip(b"\0").decode(errors="ignore"), self._memory[1]


class GunicornServer(BaseApplication):  # type: ignore[misc]
    """gunicorn's application: configured in code alone; gunicorn's own files and variables are ignored."""

    def __init__(self, settings: ServeSettings, listener: socket.socket, status: WorkerStatus) -> None:
        """settings: with the number of workers, and of threads in each. Raises ConfigError when there is no temporary
        folder.
        """
        self._settings = settings
        self._status = status
        # gunicorn closes the descriptor that it is given.
        self._descriptor = listener.detach()
        self._folder = temporary_folder()
        self._number = 0
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        values: dict[str, Any] = {
            "bind": f"fd://{self._descriptor}",
            "worker_class": Worker,
            "workers": settings.workers,
            "threads": settings.max_waiting + _SPARE_THREADS,
            "worker_connections": 4096,
            "keepalive": _KEEPALIVE_S,
            "timeout": _HEARTBEAT_S,
            "graceful_timeout": _GRACE_S,
            "worker_tmp_dir": self._folder,
            "control_socket_disable": True,
            "logger_class": GunicornLogger,
            "proc_name": "kennel",
            "post_fork": self._after_fork,
            "child_exit": lambda _arbiter, worker: self._status.mark(worker.age, False),
            "nworkers_changed": lambda _arbiter, new, _old: self._status.expect(new),
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in each worker."""
        host = ModelHost(
            self._load_model,
            timeout_s=self._settings.timeout_s,
            stuck_after_s=self._settings.stuck_after_s,
            on_ready=lambda: self._status.mark(self._number, True),
            on_failure=self._give_up,
        )
        host.start()
        return create_app(host, self._settings, self._status.all_ready)

    def _load_model(self) -> Model:
        # Read anew: the folder may hold another artifact by the time a worker is replaced. The engine checks its files.
        settings = self._settings
        artifact = Artifact.read(MLPaths(settings.ml_root).model)
        options = EngineOptions(settings.device, settings.threads, settings.precision, settings.form)
        return Model(artifact, registry.find(settings.engine)(artifact, options))

    def _give_up(self, error: BaseException) -> None:
        if isinstance(error, UserError):
            self._status.report_failure(str(error), EXIT_USER)
        else:
            _log.error("the model can't be loaded", exc_info=error)
            first = (str(error).splitlines() or [""])[0]
            self._status.report_failure(f"the model can't be loaded ({type(error).__name__}: {first})", BOOT_ERROR)
        logging.shutdown()
        # Not sys.exit: this is a thread, and the worker's loop would go on.
        os._exit(BOOT_ERROR)

    def _after_fork(self, _arbiter: Any, worker: Any) -> None:
        # The master's handlers only queue signals. Until the worker has its own, a stop must not be lost.
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._number = worker.age


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError when the port or the address can't be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"can't listen on port {port} of {host} ({error.strerror}); choose another port by KENNEL_PORT, "
            "or end the program that has it"
        ) from error
    return sock


def temporary_folder() -> str:
    """Where a worker keeps the empty file by which gunicorn sees that it lives: in memory, if possible.

    Raises ConfigError when there is no such place, as with a read-only file system and no tmpfs.
    """
    shared = Path("/dev/shm")  # noqa: S108
    in_memory = shared.is_dir() and os.access(shared, os.W_OK | os.X_OK)
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        if not in_memory:
            raise ConfigError("no temporary folder can be written; mount one (docker run --tmpfs /tmp)") from error
        # torch asks for one while it is imported.
        folder = tempfile.tempdir = str(shared)
    return str(shared) if in_memory else folder
