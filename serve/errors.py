"""What can go wrong with a request, as the caller is told it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


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


def unavailable(message: str, retry_after_s: int) -> RequestError:
    """503: the request was good, and may be sent again after so many seconds."""
    return RequestError(503, message, {"Retry-After": str(retry_after_s)})


def error_body(code: int, message: str, images: Sequence[int] = ()) -> bytes:
    """The one form in which every error is told."""
    error: dict[str, Any] = {"code": code, "message": message}
    if images:
        error["images"] = list(images)
    return json.dumps({"error": error}).encode() + b"\n"
