"""`python -m serve`: answer GET /ping and POST /invocations from the artifact in KENNEL_ML_ROOT/model.

It runs until SIGTERM. Exit codes: 0 ended by SIGTERM or Ctrl-C; 2 the user's fault (settings, artifact,
port), reported in one sentence; 3 the model can't be loaded for another reason.
"""

import argparse
import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from serve.settings import ServeSettings

EXIT_USER = 2
# As malloc.h of glibc has it.
_M_ARENA_MAX = -8


def main() -> int:
    """Serve, and return the exit code."""
    # Until gunicorn has its own handlers. As process 1 of a container, a program without one wouldn't get
    # SIGTERM at all.
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    # Only now, so that a signal during the imports finds its handler.
    from contract.errors import UserError
    from serve.settings import ServeSettings, describe

    parser = argparse.ArgumentParser(
        prog="python -m serve",
        description=__doc__,
        epilog=describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        return _run(ServeSettings.from_environ())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    # No exception: within an import, it is turned into an ImportError by numpy, and lost in callbacks of Python's own.
    # There is nothing to clean up yet.
    os._exit(0)


def _run(settings: "ServeSettings") -> int:
    """Check what can be checked without the engine, then hand over to gunicorn."""
    from dataclasses import replace

    from contract.paths import MLPaths
    from model.artifact import Artifact
    from model.machine import available_cpus

    artifact = Artifact.read(MLPaths(settings.ml_root).model)

    from gunicorn.errors import HaltServer

    from serve.log import configure
    from serve.server import GunicornServer, WorkerStatus, listen
    from serve.settings import choose_concurrency

    configure(settings.log_level)
    listener = listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    workers = settings.workers or _workers_on_gpu(settings)
    workers, threads = choose_concurrency(available_cpus(), workers, settings.threads)
    labels = ", ".join(artifact.labels[:5]) + (", ..." if len(artifact.labels) > 5 else "")
    logging.getLogger("serve").info(
        "listening on %s; artifact %s: %s, %d classes (%s); engine %s; "
        "workers x threads %d x %d",
        address, artifact.id, artifact.architecture, len(artifact.labels), labels, settings.engine,
        workers, threads,
    )  # fmt: skip
    status, master = WorkerStatus(), os.getpid()
    _keep_arenas_few()
    # What has been imported stays. Left to the collector, its pages would be written to, and so copied for each worker.
    gc.freeze()
    code: int | str | None = 0
    try:
        GunicornServer(replace(settings, workers=workers, threads=threads), listener, status).run()
    except SystemExit as ended:
        # A worker, which is a fork, leaves by here too.
        if os.getpid() != master:
            raise
        code = ended.code
    except HaltServer as halted:
        code = halted.exit_status
    message, failed = status.failure()
    if failed:
        print(f"error: {message}", file=sys.stderr)
    return failed or int(code or 0)


def _keep_arenas_few() -> None:
    """Let threads share what the C library allocates from: left alone it makes eight arenas a core, each of which keeps
    what its threads once needed for an image; with two, a worker of two cores takes 33 MB less, and no more time.
    """
    # Other C libraries have no such function.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _workers_on_gpu(settings: "ServeSettings") -> int:
    """1 where a GPU will predict, which several processes would only slow down; 0 elsewhere."""
    from serve.engines.choose import gpu_visible

    maybe = settings.device == "auto" and settings.engine in ("auto", "torch") and gpu_visible()
    return int(maybe or settings.device == "cuda")


if __name__ == "__main__":
    sys.exit(main())
