"""Files that several processes use: atomic writing, locks, and reading a file as it grows."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final


def write_atomic(path: Path, content: bytes, durable: bool = True) -> None:
    """Write `content` to a temporary name beside `path`, fsync when `durable`, and rename. Raises OSError."""
    with open_atomic(path, durable) as file:
        file.write(content)


@contextmanager
def open_atomic(path: Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` for writing, and rename it to `path` at the end of the block.

    durable: fsync it first. After an exception the temporary file is gone, and `path` is as before. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        # mkstemp makes files for the owner alone; other users may have to read a container's output.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def move_durably(source: Path, target: Path) -> None:
    """Rename `source` to `target` on the same file system, its content on disk by then, readable by everybody."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.chmod(0o644)
    source.replace(target)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity raise ValueError: JSON has neither."""
    write_atomic(path, encode_json(value), durable)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where the file is missing, unreadable or holds no object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def encode_json(value: Any) -> bytes:
    """`value` as indented JSON. NaN and infinity raise ValueError."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # A file name that isn't UTF-8 comes as lone surrogates; escaped, they are valid JSON.
    return (text + "\n").encode("utf-8", "backslashreplace")


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of `path` during the block; one holder at a time, among processes and threads.

    path: a folder, which is locked itself; or a file, which needs not exist: its lock is a file beside it, removed at
    the end. wait: False raises BlockingIOError when another holds the lock. The kernel frees the lock of a process
    that dies. Where the file system has no locks, the block runs without one.
    """
    lock = path if path.is_dir() else path.with_name(f".{path.name}.lock")
    handle = _acquire(lock, wait)
    try:
        yield
    finally:
        if handle is not None:
            if lock != path:
                with suppress(OSError):
                    lock.unlink()
            # Closing alone would not do: processes that were forked in the block share the handle.
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def _acquire(lock: Path, wait: bool) -> int | None:
    """The locked file's descriptor; None where no lock can be had. Raises BlockingIOError."""
    flags = os.O_RDONLY if lock.is_dir() else os.O_RDWR | os.O_CREAT
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, flags | os.O_CLOEXEC, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException as error:
            os.close(handle)
            if isinstance(error, OSError) and not isinstance(error, BlockingIOError):
                return None
            raise
        # The holder before may have removed the file after it was opened here.
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        os.close(handle)


_PIECE: Final = 1 << 24  # bytes that are read at once


class GrowingFile:
    """The lines of a file that is being written, each read once and whole. position: the byte to begin at."""

    def __init__(self, path: Path, position: int = 0) -> None:
        self._path = path
        self._position = position

    def read(self, ended: bool = False) -> Iterator[bytes]:
        """The lines that were completed since the last call, with their ends; none without the file.

        ended: a last line without its end is read as well.
        """
        while True:
            try:
                with self._path.open("rb") as file:
                    file.seek(self._position)
                    content = file.read(_PIECE)
            except OSError:
                return
            at_end = len(content) < _PIECE
            whole = len(content) if ended and at_end else content.rfind(b"\n") + 1
            self._position += whole
            *lines, rest = content[:whole].split(b"\n")
            for line in lines:
                yield line + b"\n"
            if rest:
                yield rest
            if at_end or not whole:
                return
