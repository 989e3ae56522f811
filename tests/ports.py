"""Ports for servers that have to be told one."""

import os
import random
import socket

# Below the range that systems give to whoever asks for any port, and above what well-known servers use. Processes that
# run tests side by side take different numbers.
_FIRST, _LAST, _WORKERS = 10_000, 32_000, 20
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _WORKERS


def free_port() -> int:
    """A port that nobody has on any address of this machine."""
    while True:
        port = random.SystemRandom().randrange(_FIRST + _worker, _LAST, _WORKERS)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
