"""Exceptions -> what the caller is told and what the log says; the same on every way through the server."""

import logging
import time
from collections.abc import Mapping
from typing import NamedTuple

from contract.errors import ImageError, ImageTooLargeError
from serve.errors import RequestError, error_body

_log = logging.getLogger(__name__)

# In the log; the caller is told of every image that is at fault.
_LONGEST_FAULT = 1000


class Reply(NamedTuple):
    """An answer over HTTP. fault: what the log tells of one that isn't good."""

    code: int
    headers: Mapping[str, str]
    body: bytes
    fault: str = ""


def tell(error: Exception, method: str, path: str) -> Reply:
    """The answer when a request ended with this exception. What nobody foresaw is logged with its traceback."""
    if isinstance(error, ImageError):
        error = RequestError(413 if isinstance(error, ImageTooLargeError) else 400, str(error))
    elif not isinstance(error, RequestError):
        _log.error("%s %r failed", method, path, exc_info=error)
        error = RequestError(500, "the server failed on this request; its log says why")
    body = error_body(error.code, error.message, error.images)
    return Reply(error.code, {"Content-Type": "application/json", **error.headers}, body, error.message)


def log_request(method: str, path: str, code: int, started: float, fault: str) -> None:
    """A line for a request that began at `started` (time.monotonic), where its answer is news or the level debug."""
    # A probe asks every few seconds: its 503 while the model loads is no news.
    routine = code < 400 or path == "/ping"
    level = logging.DEBUG if routine else logging.INFO
    if _log.isEnabledFor(level):
        line = f"{method} {path[:200]!r} {code} {1000 * (time.monotonic() - started):.1f} ms"
        _log.log(level, "%s", f"{line}: {fault[:_LONGEST_FAULT]}" if fault else line)
