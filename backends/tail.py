"""A log file, line by line, as it grows."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from backends.errors import BackendError

_POLL_S: Final = 0.2


def tail(file: Path, goes_on: Callable[[], bool] | None, say: Callable[[str], None]) -> None:
    """Say every line of it; with `goes_on` those to come as well, as long as that says yes.

    Raises BackendError when there is no such file.
    """
    if not file.is_file():
        raise BackendError(f"there is no log {file} yet")
    with file.open(encoding="utf-8", errors="replace") as opened:
        rest = ""
        while True:
            more = goes_on is not None and goes_on()
            *lines, rest = (rest + opened.read()).split("\n")
            for line in lines:
                say(line)
            if not more:
                break
            time.sleep(_POLL_S)
        if rest:
            say(rest)
