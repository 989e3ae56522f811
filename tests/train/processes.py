"""Processes whose load is known."""

import subprocess
import sys
from collections.abc import Iterator

MIB = 1 << 20


def child(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def waiting() -> Iterator[subprocess.Popen[str]]:
    """A process that does nothing until its input ends."""
    with child("import sys; print('up', flush=True); sys.stdin.read()") as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()
