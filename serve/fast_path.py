"""POST /invocations without what Flask and gunicorn's WSGI layer do for each request: half a millisecond on one core,
which is what predicting a tenth of an image takes.

Flask answers everything else, and this path too for HTTP/1.0, Expect and a trailing slash; the responses are the same.
"""

import socket
from typing import Any, Final

from gunicorn.http.body import LengthReader

from serve.invocations import PATH

# The headers that WSGI doesn't prefix with HTTP_, as gunicorn's parser names them.
_UNPREFIXED: Final = ("CONTENT_TYPE", "CONTENT_LENGTH")
_LARGEST_PIECE: Final = 1 << 20
# A client that goes on sending is read no further.
_MOST_PIECES: Final = 64


def takes(request: Any) -> bool:
    """Whether a request, as gunicorn's parser yields it, can go the fast path."""
    plain = request.method == "POST" and request.path == PATH and request.version == (1, 1)
    return plain and not request._expected_100_continue


def environ(request: Any) -> dict[str, Any]:
    """What `Invocations` reads of WSGI's environment."""
    body = request.body
    values = {"QUERY_STRING": request.query or ""}
    for name, value in request.headers:
        key = name.replace("-", "_")
        key = key if key in _UNPREFIXED else f"HTTP_{key}"
        values[key] = f"{values[key]},{value}" if key in values else value
    return {**values, "wsgi.input": _Announced(body) if isinstance(body.reader, LengthReader) else body}


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
