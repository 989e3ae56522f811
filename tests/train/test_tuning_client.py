"""A worker's client where answers are lost, the leader comes late, or never."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.train.leaders import PRINT, Notes, Site
from train.distributed import wait_for_rank0
from train.search.client import Client, LeaderError
from train.search.remote import Coordinator, Server

HALF = b'HTTP/1.0 200 OK\r\nContent-Length: 90\r\n\r\n{"answer"'


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site(Notes())
    with made.server:
        yield made


def whole_request(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        head = b"".join(iter(file.readline, b"\r\n"))
        (length,) = [line.split(b":")[1] for line in head.splitlines() if line.startswith(b"Content-Length")]
        return head + b"\r\n" + file.read(int(length))


def lossy(site: Site, spoil: Callable[[int], bytes | None]) -> Iterator[int]:
    """A port in front of the leader's. spoil: what the n-th connection gets instead of its answer; None: that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for number in range(1000):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, socket.create_connection(("127.0.0.1", site.server.port)) as leader:
                    leader.sendall(whole_request(connection))
                    answer = b"".join(iter(lambda leader=leader: leader.recv(65536), b""))  # type: ignore[misc]
                    spoilt = spoil(number)
                    connection.sendall(answer if spoilt is None else spoilt)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("spoilt", [b"", HALF, b"nonsense\r\n\r\n"])
def test_a_lost_answer_costs_no_trial(site: Site, spoilt: bytes) -> None:
    # Every other answer is lost after the leader has done what was asked.
    ports = lossy(site, lambda number: spoilt if number % 2 == 0 else None)
    client = Client("127.0.0.1", next(ports), PRINT, "here", 1, patience=20)
    numbers = []
    while trial := client.ask():
        client.report(trial.number, 1, {})
        client.complete(trial.number, {}, 1.0)
        numbers.append(trial.number)
    assert numbers == [1, 2, 3]
    assert [call[:2] for call in site.notes.calls] == [
        (name, number) for number in (1, 2, 3) for name in ("report", "complete")
    ]
    next(ports, None)


def test_a_leader_that_comes_up_later_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    coordinator = Coordinator(Notes())
    client = Client("127.0.0.1", port, PRINT, "algo-2:1", patience=20)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.alive, "algo-2")
        with Server(coordinator, PRINT, port=port):
            assert answer.result(20) is False
    assert coordinator.others() == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_leader_that_never_comes_is_one_sentence(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(LeaderError) as caught:
        Client(host, port, PRINT, "algo-2:1", patience=0.2).ask()
    assert str(caught.value).startswith(f"the search's leader {host}:{port} can't be reached (")
    assert str(caught.value).endswith(") and was tried for 0.2 s; its log says what became of it")


def test_a_worker_outlasts_its_leader() -> None:
    with socket.create_server(("127.0.0.1", 0)) as leader:
        waiting = threading.Thread(target=wait_for_rank0, args=leader.getsockname())
        waiting.start()
        for _ in range(2):
            leader.accept()[0].close()
        assert waiting.is_alive()
    waiting.join(timeout=60)
    assert not waiting.is_alive()
