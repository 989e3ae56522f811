"""The journal's file: mended after a kill, read by Optuna, written here."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contract.errors import ConfigError

_START = b'{"op_code":'
_ADVICE = "give the search another name, or move the file away"


def mend_journal(file: Path) -> None:
    """Cut off a last line that is not whole, as a kill or a broken upload leaves it.

    Raises ConfigError when the file is no journal of Optuna's, or is damaged before its last line.
    """
    content = file.read_bytes() if file.exists() else b""
    *lines, torn = content.split(b"\n")
    if (lines and not _is_operation(lines[0])) or (not lines and not _begins_one(torn)):
        raise ConfigError(f"{file}: is no journal of a search; {_ADVICE}")
    for number, line in enumerate(lines, start=1):
        if not _is_operation(line):
            raise ConfigError(f"{file}: line {number} of {len(lines)} is damaged; {_ADVICE}")
    if torn:
        with file.open("r+b") as opened:
            opened.truncate(len(content) - len(torn))
            os.fsync(opened.fileno())


def _is_operation(line: bytes) -> bool:
    try:
        operation = json.loads(line)
    except ValueError:
        return False
    return isinstance(operation, dict) and isinstance(operation.get("op_code"), int)


def _begins_one(torn: bytes) -> bool:
    return torn.startswith(_START) or _START.startswith(torn)


class JournalFile:
    """The backend of an Optuna JournalStorage.

    Optuna's own takes a lock file for each line, which outlives a kill and then holds everybody up for 30 s, and has
    each line written to disk before it goes on: here the one lock is held by whoever opened the journal, and `sync`
    says when lines have to be on disk.
    """

    def __init__(self, file: Path) -> None:
        from optuna.storages.journal import JournalFileBackend

        self._file = file
        self._reader = JournalFileBackend(str(file))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The operations from this one on."""
        yield from self._reader.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations, a line each; all of them or, raising OSError, none."""
        text = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in logs).encode()
        with self._file.open("ab", buffering=0) as opened:
            before = opened.tell()
            try:
                written = 0
                while written < len(text):
                    written += opened.write(text[written:])
            except OSError:
                opened.truncate(before)
                raise

    def sync(self) -> None:
        """Have what was written on disk, where it outlives the machine's end too."""
        with self._file.open("ab") as opened:
            os.fsync(opened.fileno())
