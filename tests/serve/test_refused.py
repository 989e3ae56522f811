"""A full server and clients that don't heed Retry-After: what a connection that comes back at once gets."""

import select
import signal
import socket
from pathlib import Path

import pytest

from tests.serve.conftest import Start, encoded, photo
from tests.serve.process import Answer, Background, Served, eventually, read_answer

BODY = encoded(photo(1))
POST = (
    f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    + BODY
)
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def full(start: Start, tmp_path: Path) -> Served:
    """A server with one place, taken until the file `hold` is gone."""
    server = start(KENNEL_MAX_WAITING="1")
    server.wait_ready()
    return server


def fill(server: Served, folder: Path) -> Background:
    (folder / "predicting").unlink(missing_ok=True)
    (folder / "hold").touch()
    request = Background(lambda: server.invoke(BODY))
    eventually("it predicts", (folder / "predicting").exists)
    return request


def refused(sock: socket.socket) -> Answer:
    sock.sendall(POST)
    answer = read_answer(sock)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    return answer


def test_who_comes_back_at_once_waits_and_keeps_nobody_waiting(full: Served, tmp_path: Path) -> None:
    held = fill(full, tmp_path)
    with full.connect() as sock:
        assert refused(sock).headers["connection"] == "keep-alive"
        sock.sendall(POST)
        # Those who ask for the first time are answered at once, and so is /ping, while that connection waits.
        assert [full.invoke(BODY).status for _ in range(3)] == [503] * 3
        assert full.ping() == 200
        assert not select.select([sock], [], [], 0)[0]
        # Then it is refused again.
        assert read_answer(sock).status == 503
        (tmp_path / "hold").unlink()
        assert held.result().status == 200
        sock.sendall(POST)
        assert read_answer(sock).status == 200


def test_who_waits_gets_the_place_that_becomes_free(full: Served, tmp_path: Path) -> None:
    held = fill(full, tmp_path)
    with full.connect() as sock:
        refused(sock)
        sock.sendall(POST)
        (tmp_path / "hold").unlink()
        answer = read_answer(sock)
        # On a machine so slow that this took a second, it is refused again.
        while answer.status == 503:
            sock.sendall(POST)
            answer = read_answer(sock)
        assert len(answer.json["predictions"]) == 3
    assert held.result().status == 200


def test_ping_on_a_connection_that_was_refused(full: Served, tmp_path: Path) -> None:
    held = fill(full, tmp_path)
    with full.connect() as sock:
        for _ in range(3):
            sock.sendall(POST)
            assert read_answer(sock).status == 503
            sock.sendall(PING)
            assert read_answer(sock).status == 200
    (tmp_path / "hold").unlink()
    assert held.result().status == 200


def test_refused_requests_sent_together_are_answered_in_turn(full: Served, tmp_path: Path) -> None:
    held = fill(full, tmp_path)
    with full.connect() as sock:
        sock.sendall(POST + POST + PING)
        found = b""
        while found.count(b"HTTP/1.1 ") < 3 or not found.endswith(b"}\n"):
            part = sock.recv(65536)
            assert part
            found += part
    assert [each[:3] for each in found.split(b"HTTP/1.1 ")[1:]] == [b"503", b"503", b"200"]
    (tmp_path / "hold").unlink()
    assert held.result().status == 200


def test_a_refused_upload_is_read_to_its_end(full: Served, tmp_path: Path) -> None:
    held = fill(full, tmp_path)
    # More than all buffers on the way hold, and within the limit.
    upload = BODY + bytes(6_000_000)
    head = POST.split(b"\r\nContent-Length")[0] + f"\r\nContent-Length: {len(upload)}\r\n\r\n".encode()
    with full.connect() as sock:
        sock.sendall(head + upload)
        assert read_answer(sock).status == 503
        sock.sendall(PING)
        assert read_answer(sock).status == 200
    (tmp_path / "hold").unlink()
    assert held.result().status == 200


def test_sigterm_answers_who_waits(full: Served, tmp_path: Path) -> None:
    held = fill(full, tmp_path)
    with full.connect() as waiting, full.connect() as gone:
        for sock in (waiting, gone):
            refused(sock)
            sock.sendall(POST)
        gone.close()
        full.signal(signal.SIGTERM)
        answer = read_answer(waiting)
        assert answer.status == 503
        (tmp_path / "hold").unlink()
        assert held.result().status == 200
    assert full.wait() == 0
