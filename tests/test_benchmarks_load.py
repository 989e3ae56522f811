"""The load generator's arithmetic and its HTTP, against servers that do as they are told. No timing decides."""

import math
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from benchmarks.serving.answer import BROKEN, AnswerParser
from benchmarks.serving.load import Load, Target, Window, percentile, run

Script = Callable[[socket.socket, bytes], bool]


@contextmanager
def serving(script: Script) -> Iterator[Target]:
    """A server whose connections call `script(connection, body)` for each request until it returns False."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while (body := read_request(self.request)) is not None and script(self.request, body):
                    pass
            except ConnectionError:
                pass  # the generator dropped it at its window's end

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Target(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def read_request(connection: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        part = connection.recv(65536)
        if not part:
            return None
        body += part
    return body


def reply(connection: socket.socket, status: int, body: bytes = b"[]", headers: str = "") -> None:
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    connection.sendall(head.encode() + body)


def echo_status(connection: socket.socket, body: bytes) -> bool:
    reply(connection, int(body))
    return True


def exactly(count: int) -> Window:
    """With one connection: closed by the answer of this number."""
    return Window(warm=0, seconds=0, at_least=count)


def test_a_percentile_is_a_value_that_so_many_do_not_exceed() -> None:
    hundred = [float(n) for n in range(1, 101)]
    assert [percentile(hundred, share) for share in (0.01, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    # Of three, half is one and a half: two values are needed.
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2
    assert percentile([1.0, 2.0, 3.0], 0.99) == 3
    assert percentile([7.0], 0.5) == 7
    assert math.isnan(percentile([], 0.5))


def test_a_loads_figures_are_worked_out_from_its_counts() -> None:
    load = Load(2.0, (0.1, 0.2, 0.3), {200: 3, 503: 4, 400: 1}, 0.25)
    assert load.rate == 1.5  # three good answers in two seconds
    assert load.share(503) == 0.5
    assert load.failed == 0.625
    assert Load(2.0, (), {}, 0.0).failed == 0.0


def test_statuses_are_counted_and_bodies_sent_in_turn() -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket, body: bytes) -> bool:
        seen.append(body)
        return echo_status(connection, body)

    with serving(script) as target:
        load = run(target, [b"200", b"503", b"200", b"404"], 1, exactly(8))
    assert load.statuses == {200: 4, 503: 2, 404: 2}
    assert len(load.latencies) == 4
    assert seen[:8] == [b"200", b"503", b"200", b"404"] * 2
    assert load.rate == 4 / load.seconds


def test_a_latency_has_the_servers_delay_in_it() -> None:
    def script(connection: socket.socket, body: bytes) -> bool:
        time.sleep(float(body))
        reply(connection, 200)
        return True

    with serving(script) as target:
        load = run(target, [b"0.01", b"0.1"], 1, exactly(4))
    assert len(load.latencies) == 4
    assert list(load.latencies) == sorted(load.latencies)
    assert load.latencies[0] >= 0.01
    assert load.latencies[2] >= 0.1
    assert load.seconds >= 0.22


def test_so_many_requests_are_under_way_at_once() -> None:
    # Nobody is answered before four are there.
    together = threading.Barrier(4, timeout=30)

    def script(connection: socket.socket, body: bytes) -> bool:
        try:
            together.wait()
        except threading.BrokenBarrierError:
            return False
        return echo_status(connection, body)

    with serving(script) as target:
        load = run(target, [b"200"], 4, exactly(8))
        together.abort()
    assert load.statuses[200] >= 8


def test_what_is_answered_while_warming_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    # The server turns the clock: each request takes a second.
    clock = [0.0]
    monkeypatch.setattr(
        "benchmarks.serving.load.time", SimpleNamespace(perf_counter=lambda: clock[0], process_time=lambda: clock[0])
    )

    def script(connection: socket.socket, _body: bytes) -> bool:
        clock[0] += 1
        reply(connection, 500 if clock[0] <= 3 else 200)
        return True

    with serving(script) as target:
        load = run(target, [b"x"], 1, Window(warm=4.5, seconds=0, at_least=3), meter=lambda: 10 * clock[0])
    assert set(load.statuses) == {200}
    assert set(load.latencies) == {1.0}
    # Three requests, each of which turns the clock by 1.
    assert load.metered == pytest.approx(30)


def test_a_window_ends_though_nobody_answers() -> None:
    with serving(lambda _connection, _body: threading.Event().wait(1)) as target:
        load = run(target, [b"x"], 2, Window(warm=0, seconds=0.01, at_least=5, longest=0.1))
    assert load.statuses == {}
    assert load.latencies == ()
    assert load.seconds >= 0.1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n[]",  # as long as the connection
    ],
)
def test_a_server_may_close_each_connection(answer: bytes) -> None:
    def script(connection: socket.socket, _body: bytes) -> bool:
        connection.sendall(answer)
        return False

    with serving(script) as target:
        load = run(target, [b"x"], 1, exactly(5))
    assert load.statuses == {200: 5}


def test_a_kept_connection_that_ended_between_two_requests_is_no_failure() -> None:
    def script(connection: socket.socket, _body: bytes) -> bool:
        reply(connection, 200)
        return False  # without a word of it in the answer

    with serving(script) as target:
        load = run(target, [b"x"], 1, exactly(5))
    assert load.statuses == {200: 5}


def test_a_connection_that_breaks_is_counted() -> None:
    with serving(lambda _connection, _body: False) as target:
        load = run(target, [b"x"], 1, exactly(3))
    assert load.statuses == {BROKEN: 3}
    assert load.failed == 1.0


def test_nobody_listening_is_counted() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # but not listening
        load = run(Target(taken.getsockname()[1]), [b"x"], 1, exactly(2))
    assert load.statuses == {BROKEN: 2}


def test_large_bodies_arrive_whole() -> None:
    sizes: list[int] = []

    def script(connection: socket.socket, body: bytes) -> bool:
        sizes.append(len(body))
        reply(connection, 200, b"y" * 300_000)
        return True

    with serving(script) as target:
        load = run(target, [b"x" * 3_000_000], 2, exactly(4))
    assert set(sizes) == {3_000_000}
    assert load.statuses[200] >= 4


def test_an_answer_is_read_byte_by_byte() -> None:
    answers = {
        b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabc": (503, b"abc", True),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n": (
            200,
            b"abcde",
            True,
        ),
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n": (200, b"", False),
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na": (200, b"a", True),
    }
    for text, (status, body, keep) in answers.items():
        parser = AnswerParser()
        for number in range(len(text)):
            assert not parser.complete
            parser.feed(text[number : number + 1])
        assert parser.complete
        assert (parser.status, parser.body, parser.keep_alive) == (status, body, keep)


def test_an_answer_cut_short_is_not_complete() -> None:
    for text in (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b"HTTP/1.1 200 OK\r\n", b""):
        parser = AnswerParser()
        parser.feed(text)
        parser.end()
        assert not parser.complete
