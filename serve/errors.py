"""What can go wrong with a request, and the response that it gets then: the same on every way through the server."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from contract.errors import ImageError, ImageTooLargeError

_log = logging.getLogger(__name__)


class RequestError(Exception):
    """An answer other than 200: `code` is the HTTP status, the message one sentence for the caller.

    images: where several were sent, the positions (from 0) of those that are at fault.
    """

    def __init__(
        self, code: int, message: str, headers: Mapping[str, str] | None = None, images: Sequence[int] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.images = list(images)


class Reply(NamedTuple):
    """A response over HTTP. fault: what the log says of one that isn't good."""

    code: int
    headers: Mapping[str, str]
    body: bytes
    fault: str = ""


def unavailable(message: str, retry_after_s: int) -> RequestError:
    """503: the request was good, and may be sent again after so many seconds."""
    return RequestError(503, message, {"Retry-After": str(retry_after_s)})


def server_fault() -> RequestError:
    """500: an error that nobody foresaw; the log has its traceback."""
    return RequestError(500, "the server failed on this request; its log says why")


def error_body(error: RequestError) -> bytes:
    """The JSON that every error has as its body."""
    content: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.images:
        content["images"] = error.images
    return json.dumps({"error": content}).encode() + b"\n"


def error_response(error: Exception, method: str, path: str) -> Reply:
    """The response when a request ended with this exception. What nobody foresaw is logged with its traceback."""
    if isinstance(error, ImageError):
        error = RequestError(413 if isinstance(error, ImageTooLargeError) else 400, str(error))
    elif not isinstance(error, RequestError):
        _log.error("%s %r failed", method, path, exc_info=error)
        error = server_fault()
    headers = {"Content-Type": "application/json", **error.headers}
    return Reply(error.code, headers, error_body(error), error.message)
