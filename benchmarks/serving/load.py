"""A closed loop of HTTP requests from one process: each connection sends its next one as soon as it is answered."""

import errno
import itertools
import math
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.serving.answer import BROKEN, AnswerParser


@dataclass(frozen=True)
class Target:
    """Where the requests go, and how; the body's length is added to the headers."""

    port: int
    path: str = "/invocations"
    headers: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    method: str = "POST"

    def request(self, body: bytes) -> bytes:
        """The bytes of one request."""
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Content-Length: {len(body)}",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Window:
    """Seconds under load before the count begins, and seconds that count.

    The window stays open until `at_least` requests have been answered, but no longer than `longest` seconds.
    """

    warm: float
    seconds: float
    at_least: int = 1
    longest: float = math.inf


@dataclass(frozen=True)
class Load:
    """What happened within the window.

    latencies: seconds from a request's begin (with connecting, where it had to) to its answer's last byte, of those
    answered 200, ascending. statuses: of all that were answered or broken. cpu_share: the generator's own CPU time, in
    cores. metered: by how much the meter rose.
    """

    seconds: float
    latencies: tuple[float, ...]
    statuses: Mapping[int, int]
    cpu_share: float
    metered: float = 0.0

    @property
    def rate(self) -> float:
        """Requests answered 200, a second."""
        return len(self.latencies) / self.seconds

    def share(self, *statuses: int) -> float:
        """How many of all requests ended with one of these statuses, from 0 to 1."""
        total = sum(self.statuses.values())
        return sum(self.statuses.get(status, 0) for status in statuses) / total if total else 0.0

    @property
    def failed(self) -> float:
        """The share of requests that were not answered 200, from 0 to 1."""
        return 1.0 - self.share(200) if self.statuses else 0.0


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (above 0, to 1) of all values don't exceed; nan of none."""
    if not ascending:
        return math.nan
    return ascending[max(1, math.ceil(share * len(ascending) - 1e-9)) - 1]


def run(
    target: Target, bodies: Sequence[bytes], concurrency: int, window: Window, meter: Callable[[], float] = float
) -> Load:
    """Keep `concurrency` requests under way, with the bodies in turn, until the window closes.

    What is under way then is dropped. meter: read when the window opens and when it closes.
    """
    requests = itertools.cycle([target.request(body) for body in bodies])
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    with selectors.DefaultSelector() as selector:
        connections = [_Connection((target.host, target.port), selector) for _ in range(concurrency)]
        for connection in connections:
            connection.send(next(requests))
        opens = time.perf_counter() + window.warm
        cpu: float | None = None
        read = 0.0
        while True:
            now = time.perf_counter()
            if cpu is None and now >= opens:
                read, cpu, opens = meter(), time.process_time(), time.perf_counter()
                now = opens
                latencies.clear()
                statuses.clear()
            if cpu is not None and _closed(now - opens, sum(statuses.values()), window):
                break
            for key, _ in selector.select(timeout=0.02):
                answer = key.data.advance()
                if answer is None:
                    continue
                status, seconds = answer
                statuses[status] += 1
                if status == 200:
                    latencies.append(seconds)
                key.data.send(next(requests))
        elapsed, used, metered = now - opens, time.process_time() - cpu, meter() - read
        for connection in connections:
            connection.close()
    return Load(elapsed, tuple(sorted(latencies)), dict(statuses), used / elapsed, metered)


def _closed(open_for: float, answered: int, window: Window) -> bool:
    return open_for >= window.longest or (open_for >= window.seconds and answered >= window.at_least)


class _Connection:
    """One request at a time, on a connection kept as long as the server keeps it."""

    def __init__(self, address: tuple[str, int], selector: selectors.BaseSelector) -> None:
        self._address, self._selector = address, selector
        self._socket: socket.socket | None = None
        self._request, self._sent, self._started = b"", 0, 0.0
        self._used = False  # whether this connection has carried an answer
        self._parser = AnswerParser()

    def send(self, request: bytes) -> None:
        """Begin a request; `advance` goes on with it."""
        self._request, self._started = request, time.perf_counter()
        self._begin()

    def _begin(self) -> None:
        self._sent, self._parser = 0, AnswerParser()
        if self._socket is None:
            self._used = False
            self._socket = socket.socket()
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.connect_ex(self._address)
            self._selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
        else:
            self._selector.modify(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def advance(self) -> tuple[int, float] | None:
        """Send and read what can be without waiting. Returns (status, seconds) once the request is over."""
        assert self._socket is not None
        try:
            ended = self._write_and_read(self._socket)
        except OSError:
            ended = True
        if not self._parser.complete and not ended:
            return None
        seconds = time.perf_counter() - self._started
        status = self._parser.status if self._parser.complete else BROKEN
        if ended or not self._parser.keep_alive or self._sent < len(self._request):
            self.close()
        if status == BROKEN and self._used and not self._parser.began:
            # The server gave the connection up between two requests: every client sends again then.
            self._begin()
            return None
        self._used = True
        return status, seconds

    def _write_and_read(self, sock: socket.socket) -> bool:
        """Returns whether the server has closed the connection."""
        if self._sent < len(self._request):
            try:
                self._sent += sock.send(memoryview(self._request)[self._sent :])
            except BlockingIOError:
                pass
            except OSError as error:
                # Not connected yet; or closed by a server that has answered before it read all, which is read below.
                if error.errno not in (errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET):
                    raise
            if self._sent == len(self._request):
                self._selector.modify(sock, selectors.EVENT_READ, self)
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return False
        if data:
            self._parser.feed(data)
        else:
            self._parser.end()
        return not data

    def close(self) -> None:
        """Drop the connection and what is under way on it."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
