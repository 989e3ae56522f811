"""gunicorn's threaded worker, changed where one client could keep the others, and /ping, waiting.

It builds on the worker's inner methods: `tests/serve/test_connections.py` shows what each change is for.
"""

import contextlib
import os
import select
import selectors
import signal
import socket
import struct
import time
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from weakref import WeakKeyDictionary

from gunicorn import util
from gunicorn.http import errors
from gunicorn.http.wsgi import Response
from gunicorn.workers.gthread import ThreadWorker

from serve import fast_path
from serve.app import INVOCATIONS
from serve.errors import RequestError, error_body, server_fault
from serve.invocations import Invocations

# A client that sends or takes nothing for so long is disconnected.
_SILENCE_S: Final = 30
# How much of a body that isn't needed is still read, so that the client gets the response.
_DRAIN_S: Final = 10.0
_DRAIN_BYTES: Final = 2 * 1024**3

_HEARTBEAT_S: Final = 1.0
# How long a thread waits for the next request of the connection that it has answered.
_NEXT_REQUEST_MS: Final = 10
# How long a connection that was refused is left unread at most, and how often the worker checks for a free slot.
_PAUSE_S: Final = 1.0
_LOOK_S: Final = 0.02

_STATUS: Final = {
    errors.LimitRequestLine: 414,
    errors.LimitRequestHeaders: 431,
    errors.ExpectationFailed: 417,
    errors.UnsupportedTransferCoding: 501,
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """A connection takes no thread before it has sent something; an unread body is drained, and a
    closing connection lingered over, in a thread and not in the accepting loop; errors are JSON.

    Predictions take `serve.fast_path`. A connection that got a 503 with Retry-After and sends again at once waits
    without a thread: otherwise clients that ignore Retry-After would take the cores from those that are served.
    """

    sockets: list[Any]
    wsgi: Any
    _next_heartbeat = 0.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # Until when a connection that got a Retry-After is left unread, and those that wait for it, in that order.
        self._refused_until: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._parked: deque[Any] = deque()

    def enqueue_req(self, conn: Any) -> None:
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        silence = struct.pack("ll", _SILENCE_S, 0)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, silence)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, silence)
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def init_signals(self) -> None:
        super().init_signals()
        # A terminal sends Ctrl-C to the workers too, but it is the master that stops them.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def handle_quit(self, sig: int, frame: object) -> None:  # noqa: ARG002
        # gunicorn's own waits for the thread pool's lock, and for ever when the main thread holds it just then.
        os._exit(0)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        # Stopping. A listener left open would take connections, only to drop them when the last request is
        # done; those accepted already are served.
        for listener in self.sockets:
            before = -1
            while before != self.nr_conns:
                before = self.nr_conns
                self.accept(listener)
            listener.close()
        self.sockets = []

    def notify(self) -> None:
        # gunicorn's writes a file's time at every turn of the accepting loop, three times a request.
        if (now := time.monotonic()) >= self._next_heartbeat:
            self._next_heartbeat = now + _HEARTBEAT_S
            super().notify()

    def handle(self, conn: Any) -> Any:
        keep = super().handle(conn)
        # A busy client's next request is here in a moment. Taking it in the same thread spares the way back to the
        # accepting loop and from there to another thread: a third of what a request costs beside its work.
        while keep is True and self._may_go_on(conn) and _next_request_comes(conn):
            keep = super().handle(conn)
        if not keep:
            # After an error it may be closed already.
            with contextlib.suppress(OSError):
                conn.close(graceful=True)
        return keep

    def _refused(self, conn: Any) -> bool:
        """Whether the connection's last request was answered with Retry-After, and that time isn't over."""
        return self._refused_until.get(conn, 0.0) > time.monotonic()

    def _may_go_on(self, conn: Any) -> bool:
        """Whether the thread may wait for the connection's next request: no other connection waits for a thread."""
        return self.alive and self.tpool._work_queue.empty() and not self._refused(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        if not fast_path.takes(req):
            return super().handle_request(req, conn)
        response = Response(req, conn.sock, self.cfg)
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            response.force_close()
        reply = self._invocations.reply(fast_path.environ(req))
        if "Retry-After" in reply.headers:
            self._refused_until[conn] = time.monotonic() + _PAUSE_S
        headers = [*reply.headers.items(), ("Content-Length", str(len(reply.body)))]
        response.start_response(f"{reply.code} {HTTPStatus(reply.code).phrase}", headers)
        head = "".join((*response.default_headers(), *(f"{name}: {value}\r\n" for name, value in response.headers)))
        # Sent apart, they would be two packets.
        conn.sock.sendall(f"{head}\r\n".encode("latin-1") + reply.body)
        return not response.should_close()

    @property
    def _invocations(self) -> Invocations:
        invocations: Invocations = self.wsgi.extensions[INVOCATIONS]
        return invocations

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        if self._refused(conn) and _sends_post(conn):
            self.poller.unregister(client)
            self.keepalived_conns.remove(conn)
            self._parked.append(conn)
        else:
            super().on_client_socket_readable(conn, client)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(min(timeout, _LOOK_S) if self._parked else timeout)
        free = self._invocations.admission.free_slots if self._parked else 0
        while self._parked and (free > 0 or not self._refused(self._parked[0]) or not self.alive):
            free -= 1
            self.enqueue_req(self._parked.popleft())

    def finish_request(self, conn: Any, fs: Any) -> None:
        if fs.cancelled() or fs.exception() is not None or not fs.result():
            self.nr_conns -= 1
            conn.close()
        elif self._refused(conn) and conn.parser.unreader.buf.getvalue() and _sends_post(conn):
            self._parked.append(conn)
        else:
            super().finish_request(conn, fs)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        fast_path.skip(conn.parser.mesg.body)
        drained = conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_S, max_bytes=_DRAIN_BYTES)
        return bool(keepalive and drained)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002
        """Answer a request that couldn't be parsed."""
        bad_request = isinstance(exc, errors.ParseException) and not isinstance(
            exc, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName
        )
        if bad_request:
            error = RequestError(_STATUS.get(type(exc), 400), f"not a valid HTTP request: {exc}")
            self.log.info("%d: %s", error.code, error.message)
        else:
            error = server_fault()
            self.log.error("the connection's handler failed", exc_info=exc)
        body = error_body(error)
        head = (
            f"HTTP/1.1 {error.code} {HTTPStatus(error.code).phrase}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            util.write_nonblock(client, head.encode() + body)
        except OSError:
            self.log.debug("the client was gone before it could be answered: %s", error.message)


def _next_request_comes(conn: Any) -> bool:
    """Whether the connection's next request is here, or will be in a moment."""
    if conn.parser.unreader.buf.getvalue():
        # Its bytes came together with the last request's.
        return True
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(_NEXT_REQUEST_MS))


def _sends_post(conn: Any) -> bool:
    """Whether the next request, whose first bytes are here, is a POST: /ping never waits."""
    try:
        begin = conn.parser.unreader.buf.getvalue()[:5] or conn.sock.recv(5, socket.MSG_PEEK)
    except OSError:
        return False
    return bool(begin == b"POST ")
