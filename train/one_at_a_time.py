"""One process at a time computes a file that several want; the others wait and find it there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def one_at_a_time(file: Path | None) -> Iterator[None]:
    """Hold the lock of `file` for the block: look for the file in it, and write it. None: nothing is to be shared.

    The kernel frees the lock of a process that dies. Where no lock can be had, as on some network file systems, the
    block runs without: work is done twice then, but none goes wrong, as files are written atomically.
    """
    handle = -1 if file is None else _locked(file)
    try:
        yield
    finally:
        if handle >= 0 and file is not None:
            # Whoever waits for it finds the file. Whoever comes later makes a new lock, and finds the file, too.
            with suppress(OSError):
                _lock_of(file).unlink()
            # Said in words: processes that load images, forked in the block, have the handle as well.
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def _locked(file: Path) -> int:
    handle = -1
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(_lock_of(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return handle
    except OSError:
        if handle >= 0:
            os.close(handle)
        return -1


def _lock_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.lock")
