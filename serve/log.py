"""Log lines, gunicorn's included, in one form on stderr."""

import logging
import sys
import time
from typing import Final

from gunicorn.glogging import Logger

_log = logging.getLogger(__name__)

# The response names every image that is at fault.
_LONGEST_FAULT: Final = 1000


def configure(level: int) -> None:
    """Send what is logged at `level` and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(message)s"))
    handler.addFilter(_is_news)
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _is_news(record: logging.LogRecord) -> bool:
    # gunicorn logs a client that stops sending in the middle of a request's head with a traceback.
    error = record.exc_info[1] if record.exc_info else None
    return not (record.name == "gunicorn.error" and isinstance(error, TimeoutError | BlockingIOError))


class GunicornLogger(Logger):  # type: ignore[misc]
    """Hands gunicorn's lines to our handler. Its chatter about workers and signals is for the debug level."""

    def setup(self, cfg: object) -> None:
        self.cfg = cfg
        level = logging.getLogger().getEffectiveLevel()
        self.error_log.setLevel(logging.INFO if level <= logging.DEBUG else max(level, logging.WARNING))
        self.error_log.propagate = True


def log_request(method: str, path: str, code: int, started: float, fault: str) -> None:
    """Log a request that began at `started` (time.monotonic): above the level debug if its response is an error."""
    # A probe asks every few seconds: its 503 while the model loads is no news.
    routine = code < 400 or path == "/ping"
    level = logging.DEBUG if routine else logging.INFO
    if _log.isEnabledFor(level):
        line = f"{method} {path[:200]!r} {code} {1000 * (time.monotonic() - started):.1f} ms"
        _log.log(level, "%s", f"{line}: {fault[:_LONGEST_FAULT]}" if fault else line)
