"""One process at a time, by a lock that ends with its process however that ends. Standard library only."""

import fcntl
import os
import weakref
from pathlib import Path

from contract.errors import ConfigError


class ProcessLock:
    """Holds a file beside `file` until `release`, or until nothing refers to it.

    A POSIX record lock: unlike a lock file it is gone when its process was killed, and unlike `flock`'s, processes
    that it has forked don't keep it. Not against another use within the same process.
    Raises ConfigError when another process has it.
    """

    def __init__(self, file: Path) -> None:
        handle = os.open(file.with_name(f"{file.name}.owner"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            raise ConfigError(
                f"{file}: another process is at this search; wait until it has ended, or give the search another name"
            ) from None
        except OSError:
            pass  # A file system without locks: better unguarded than not at all.
        self._finalizer = weakref.finalize(self, os.close, handle)

    def release(self) -> None:
        """Let others have it. A second time does nothing."""
        self._finalizer()
