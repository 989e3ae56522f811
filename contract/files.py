"""Writing files so that a reader sees the old content or the new, never half of it."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_atomic(path: Path, content: bytes, durable: bool = True) -> None:
    """Write `content` to a temporary name beside `path`, fsync when `durable`, and rename.

    Raises OSError as the file system gives it; the temporary file is gone then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
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


def encode_json(value: Any) -> bytes:
    """`value` as indented JSON. NaN and infinity raise ValueError."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # A file name that isn't UTF-8 comes as lone surrogates; escaped, they are valid JSON.
    return (text + "\n").encode("utf-8", "backslashreplace")
