"""Servers beside the containers: a registry, moto."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_address() -> str:
    """HOST:PORT that nothing listens at, on the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def process(command: list[str], address: str, log: Path) -> Iterator[None]:
    """A server, once it listens; ended when the block ends."""
    host, port = address.split(":")
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            while True:
                assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()}"
                try:
                    socket.create_connection((host, int(port)), timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()
