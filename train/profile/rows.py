"""Files of one JSON object a line, written while training runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Rows:
    """A file of JSON lines, begun anew. Raises OSError.

    Rows wait for `flush`, which writes them at once: who reads meanwhile sees whole lines.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("wb", buffering=0)
        self._waiting: list[bytes] = []

    def add(self, row: Mapping[str, Any]) -> None:
        self._waiting.append(json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n")

    def flush(self) -> None:
        if self._waiting:
            self._file.write(b"".join(self._waiting))
            self._waiting.clear()

    def close(self) -> None:
        """Flush, and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()
