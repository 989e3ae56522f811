"""Connections that plain clients don't make: large refused uploads, silence, nonsense."""

import json
import socket
import threading

from tests.serve.conftest import Start, encoded, photo
from tests.serve.process import Served, eventually, read_answer

BODY = encoded(photo(1))
HEAD = "POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


def test_a_refused_upload_still_gets_its_answer(toy_server: Served) -> None:
    # Larger than all buffers on the way, and the client reads nothing before it has sent everything.
    upload = bytes(30_000_000)
    for connection in ("keep-alive", "close"):
        with toy_server.connect() as sock:
            head = f"{HEAD}Connection: {connection}\r\nContent-Length: {len(upload)}\r\n\r\n"
            sock.sendall(head.encode() + upload)
            answer = read_answer(sock)
        assert answer.status == 413
        assert "limit of 6291456 bytes (it has 30000000)" in answer.error
    with toy_server.connect() as sock:
        head = HEAD.replace("image/jpeg", "text/html") + f"Content-Length: {len(upload)}\r\n\r\n"
        sock.sendall(head.encode() + upload)
        assert read_answer(sock).status == 415
        # The same connection goes on.
        sock.sendall(f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        assert read_answer(sock).status == 200


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts) + b"0\r\n\r\n"


def test_chunked_bodies(toy_server: Served) -> None:
    head = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    with toy_server.connect() as sock:
        sock.sendall(head + chunked(BODY, 100))
        assert read_answer(sock).status == 200
        sock.sendall(head + chunked(bytes(8_000_000), 65536))
        answer = read_answer(sock)
        assert answer.status == 413
        assert "6291456" in answer.error
        sock.sendall(head + chunked(b"", 1))
        assert read_answer(sock).status == 400
    with toy_server.connect() as sock:
        sock.sendall(head + b"nonsense\r\n")
        answer = read_answer(sock)
        assert answer.status == 400
        assert "chunks" in answer.error


def test_a_body_that_ends_early(toy_server: Served) -> None:
    with toy_server.connect() as sock:
        sock.sendall(f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:-10])
        sock.shutdown(socket.SHUT_WR)
        answer = read_answer(sock)
    assert answer.status == 400
    assert f"ended after {len(BODY) - 10} of {len(BODY)} bytes" in answer.error


def test_what_is_no_http_gets_json_too(toy_server: Served) -> None:
    for sent, status in [
        (b"HELLO\r\n\r\n", 400),
        (b"GET /ping HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n", 501),
        (HEAD.encode() + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ]:
        with toy_server.connect() as sock:
            sock.sendall(sent)
            answer = read_answer(sock)
        assert answer.status == status, (sent[:40], answer)
        assert answer.error


def test_idle_and_half_closed_connections_keep_nobody_waiting(toy_server: Served) -> None:
    # More than there are threads; each would hold one for five seconds in gunicorn's own worker.
    idle = [toy_server.connect() for _ in range(400)]
    # These got their answer with "Connection: close" and don't close: each would hold up the accepting loop.
    lingering = []
    for _ in range(10):
        sock = toy_server.connect()
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_answer(sock).status == 200
        lingering.append(sock)
    answered = []
    for _ in range(20):
        with toy_server.connect() as sock:
            # SageMaker gives /ping two seconds; all twenty together have them here, and take milliseconds.
            sock.settimeout(2)
            sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answered.append(read_answer(sock).status)
    assert answered == [200] * 20
    # A connection that said nothing so far is served when it does.
    idle[0].sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    assert read_answer(idle[0]).status == 200
    for sock in [*idle, *lingering]:
        sock.close()
    eventually("the server is as before", lambda: toy_server.ping() == 200)


def test_requests_sent_together_are_answered_in_turn(toy_server: Served) -> None:
    bodies = [encoded(photo(i, colour=i % 3)) for i in range(6)]
    alone = [toy_server.invoke(body).json for body in bodies]
    assert len({str(answer) for answer in alone}) == 6
    requests = [f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    with toy_server.connect() as sock:
        sock.sendall(b"".join(requests))
        found = b""
        while found.count(b"]}\n") < 6:
            part = sock.recv(65536)
            assert part
            found += part
    answers = [json.loads(part.split(b"\r\n\r\n")[1]) for part in found.split(b"HTTP/1.1 200 OK")[1:]]
    assert answers == alone


def test_busy_connections_leave_threads_to_others(start: Start) -> None:
    # There are 33 threads, and 40 connections on each of which the next request is always there already.
    server = start(KENNEL_MAX_WAITING="1")
    server.wait_ready()
    request = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
    enough = threading.Event()
    counts = [0] * 40

    def ask(number: int) -> None:
        with server.connect() as sock:
            sock.sendall(request * 100)
            while not enough.is_set():
                answers = sock.recv(65536).count(b"HTTP/1.1 200 OK")
                sock.sendall(request * answers)
                counts[number] += answers

    busy = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in busy:
        thread.start()
    try:
        eventually("each of them is answered", lambda: min(counts) > 0)
        assert server.ping() == 200
    finally:
        enough.set()
        for thread in busy:
            thread.join()
