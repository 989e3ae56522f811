"""deploy.py as a person at the terminal runs it."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests import forked

ROOT = Path(__file__).resolve().parents[2]
TINY = ("--set", "pretrained=none", "--set", "image_size=32", "--set", "epochs=2", "--set", "export=none")


def deploy(*arguments: str | Path, cwd: Path | None = None, timeout: float = 180) -> "subprocess.CompletedProcess[str]":
    """Run deploy.py as a person would, and return what it said."""
    command = [sys.executable, str(ROOT / "deploy.py"), *map(str, arguments)]
    return forked.run(command, text=True, cwd=cwd, timeout=timeout)


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    """Start deploy.py and leave it running."""
    command = [sys.executable, str(ROOT / "deploy.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return forked.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def lives(process: psutil.Process) -> bool:
    """Whether it has not ended. One that has may still be listed until its parent, or the system's first process, has
    heard of it.
    """
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
