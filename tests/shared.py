"""What is made once for all processes that run tests side by side."""

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """What `make` returns for an empty folder, which the first process that asks lets it fill; the others wait.

    The value has to be one that can be pickled. When `make` fails, the next process that asks tries anew.
    """
    base = factory.getbasetemp().parent if os.environ.get("PYTEST_XDIST_WORKER") else factory.getbasetemp()
    value = base / f"shared-{name}.pickle"
    with (base / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not value.exists():
            made = make(factory.mktemp(name))
            value.write_bytes(pickle.dumps(made))
        # Read back also by the process that made it: all get equal values.
        found: T = pickle.loads(value.read_bytes())
    return found
