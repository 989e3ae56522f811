"""POST /invocations without what Flask and gunicorn's WSGI layer do for each request: half a millisecond on one core,
which is what predicting a tenth of an image takes.

Flask answers everything else, and this path too for HTTP/1.0, Expect and a trailing slash; the responses are the same.
"""

import socket
import time
from collections.abc import Callable
from typing import Any, Final

from gunicorn.http.body import LengthReader

from serve.errors import Reply, error_response
from serve.invocations import Invocations
from serve.log import log_request

PATH: Final = "/invocations"
# Under which Flask's `extensions` have it.
NAME: Final = "kennel.fast_path"
# The headers that WSGI doesn't prefix with HTTP_, as gunicorn's parser names them.
_UNPREFIXED: Final = ("CONTENT_TYPE", "CONTENT_LENGTH")
_LARGEST_PIECE: Final = 1 << 20
# A client that goes on sending is read no further.
_MOST_PIECES: Final = 64


class FastPath:
    """Answers requests as gunicorn's parser yields them, each in the calling thread.

    response_status: the status to send, from the one that the request's outcome has.
    """

    def __init__(self, invocations: Invocations, response_status: Callable[[int], int]) -> None:
        self._invocations = invocations
        self._response_status = response_status

    @property
    def free_slots(self) -> int:
        """How many more images may be held."""
        return self._invocations.admission.free_slots

    def takes(self, request: Any) -> bool:
        """Whether this request can go the fast path."""
        plain = request.method == "POST" and request.path == PATH and request.version == (1, 1)
        return plain and not request._expected_100_continue

    def answer(self, request: Any) -> Reply:
        """The answer, errors included; raises nothing."""
        started = time.monotonic()
        try:
            reply = self._invocations.answer(_environ(request))
        except Exception as error:  # noqa: BLE001 - answered and logged
            reply = error_response(error, "POST", PATH)
        log_request("POST", PATH, reply.code, started, reply.fault)
        return reply._replace(code=self._response_status(reply.code))


def _environ(request: Any) -> dict[str, Any]:
    """What `Invocations` reads of WSGI's environment."""
    body = request.body
    environ = {"QUERY_STRING": request.query or ""}
    for name, value in request.headers:
        key = name.replace("-", "_")
        key = key if key in _UNPREFIXED else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return {**environ, "wsgi.input": _Announced(body) if isinstance(body.reader, LengthReader) else body}


def skip(body: Any) -> None:
    """Discard what has arrived of a body that isn't read, without waiting for more."""
    reader = body.reader
    if not isinstance(reader, LengthReader) or not reader.length:
        return
    arrived = reader.unreader.take_buffered()
    reader.unreader.unread(arrived[reader.length :])
    reader.length -= min(len(arrived), reader.length)
    for _ in range(_MOST_PIECES):
        try:
            arrived = reader.length and reader.unreader.sock.recv(
                min(reader.length, _LARGEST_PIECE), socket.MSG_DONTWAIT
            )
        except OSError:
            return
        if not arrived:
            return
        reader.length -= len(arrived)


class _Announced:
    """A body of known length: one copy of its bytes, where gunicorn's buffers make several, and few waits for them."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int, /) -> bytes:
        """`size` bytes, or fewer where the connection ends before; raises TimeoutError or OSError."""
        reader = self._body.reader
        unreader = reader.unreader
        missing = min(size, reader.length)
        buffered = unreader.take_buffered()
        if len(buffered) > missing:
            unreader.unread(buffered[missing:])
        pieces = [buffered[:missing]]
        missing -= len(pieces[0])
        try:
            # Asked for all of it, the system wakes this thread once, and not for each packet.
            while missing and (piece := unreader.sock.recv(min(missing, _LARGEST_PIECE), socket.MSG_WAITALL)):
                pieces.append(piece)
                missing -= len(piece)
        except Exception:
            # Where the next request begins isn't known then.
            self._body.failed = True
            raise
        reader.length -= min(size, reader.length)
        return b"".join(pieces)
