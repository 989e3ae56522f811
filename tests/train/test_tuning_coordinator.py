"""One search over real HTTP: repeated requests, other searches, malformed ones, many workers, hosts that vanish."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from tests.train.leaders import PRINT, Notes, Site
from train.search.client import Client, LeaderError
from train.search.remote import BODY_LIMIT, FINGERPRINT_HEADER, LOST_AFTER_S, Coordinator, Server, port_of
from tuning.searcher import Trial


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site(Notes())
    with made.server:
        yield made


def test_a_client_is_the_searcher_itself(site: Site) -> None:
    client = site.client()
    first = client.ask()
    # 0.1 + 1/3 has no short decimal form: floats come through exactly.
    assert first == Trial(1, {"lr": 0.1 + 1 / 3, "optimizer": "sgd"}, Hyperparameters(
        lr=0.1 + 1 / 3, optimizer="sgd", epochs=4))  # fmt: skip
    assert client.report(1, 1, {"validation_accuracy": 1 / 3, "epoch": 1}) is False
    client.complete(1, {"validation_accuracy": 1 / 3}, 2.5)
    second, third = client.ask(), client.ask()
    assert (second and second.number, third and third.number) == (2, 3)
    assert client.report(2, 3, {}) is True
    client.prune(2, 1.5, "run-2")
    over = [client.alive("algo-1"), client.ask(), client.alive("algo-1")]
    client.fail(3, "the loss became NaN", 1.0)
    # Not as long as the third is running.
    assert [*over, client.alive("algo-1")] == [False, None, False, True]
    assert site.notes.calls == [
        ("report", 1, 1, {"validation_accuracy": 1 / 3, "epoch": 1}),
        ("complete", 1, {"validation_accuracy": 1 / 3}, 2.5, None),
        ("report", 2, 3, {}),
        ("prune", 2, 1.5, "run-2"),
        ("fail", 3, "the loss became NaN", None),
    ]


def test_a_repeated_request_counts_once(site: Site) -> None:
    def twice(name: str, **body: object) -> object:
        answers = [site.post(f"/{name}", json.dumps(body).encode()) for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0][0] == 200
        return answers[0][1]

    asked = twice("ask", crew="here", worker=1, id="a")
    assert isinstance(asked, dict)
    assert asked["number"] == 1
    assert twice("report", number=1, epoch=1, metrics={"loss": 1}) is False
    twice("complete", number=1, metrics={"loss": 1}, seconds=1)
    twice("ask", crew="here", worker=1, id="b")
    twice("prune", number=2, seconds=1)
    twice("ask", crew="here", worker=1, id="c")
    twice("fail", number=3, reason="no", seconds=1)
    # However it was ended, it stays so.
    twice("complete", number=3, metrics={}, seconds=1)
    # A worker that was given up hears that its trial has been ended.
    assert twice("report", number=3, epoch=1, metrics={}) is True
    assert [call[:2] for call in site.notes.calls] == [("report", 1), ("complete", 1), ("prune", 2), ("fail", 3)]
    assert site.notes.given == 3


def test_another_search_is_refused_in_one_sentence(site: Site) -> None:
    with pytest.raises(LeaderError) as caught:
        site.client(fingerprint="another").ask()
    told = str(caught.value)
    assert told.startswith("the search's leader 127.0.0.1 refuses: this host's hyperparameters or images are not the ")
    assert "\n" not in told
    status, _ = site.post("/ask", b'{"crew": "here", "worker": 1, "id": "a"}', **{FINGERPRINT_HEADER: ""})
    assert status == 409
    assert site.notes.given == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/stop", b"{}", 404, "there is no call /stop; the calls are ask, report,"),
        ("/ask", b"{", 400, "the body is no JSON"),
        ("/ask", b"\xff", 400, "the body is no JSON"),
        ("/ask", b"[" * 100_000, 400, "the body is no JSON"),
        ("/ask", b"[]", 400, "the body must be a JSON object, got list"),
        ("/ask", b'{"crew": "a", "worker": true}', 400, "id is missing; worker must be of type int"),
        ("/ask", b'{"crew": "a", "worker": 1, "id": "a", "x": 1}', 400, "x is unknown"),
        ("/report", b'{"number": 1, "epoch": 1, "metrics": {"a": "b"}}', 400, "metrics must be of type dict"),
        ("/report", b'{"number": 1, "epoch": 1.5, "metrics": {}}', 400, "epoch must be of type int"),
        ("/complete", b'{"number": 9, "metrics": {}, "seconds": 1}', 404, "there is no trial 9 in this search"),
    ],
)
def test_what_cannot_be_followed(site: Site, path: str, body: bytes, status: int, words: str) -> None:
    answer = site.post(path, body)
    assert answer[0] == status
    assert answer[1].startswith(words)
    assert "\n" not in answer[1]
    assert site.notes.calls == []
    assert site.notes.given == 0


def raw(site: Site, request: bytes) -> bytes:
    """All that comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (b"GET /ask HTTP/1.0\r\n\r\n", 501, "Unsupported method ('GET')"),
        (b"no HTTP at all\r\n\r\n", 400, "Bad request version"),
        (b"POST /ask HTTP/1.0\r\n\r\n", 411, "a request needs a Content-Length"),
        (b"POST /ask HTTP/1.0\r\nContent-Length: -1\r\n\r\n", 411, "a request needs a Content-Length"),
        (b"POST /ask HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), 413, "a request may have 1048576"),
        (b"POST /ask HTTP/1.0\r\nContent-Length: 1" + b"0" * 5000 + b"\r\n\r\n", 413, "a request may have 1048576"),
        (b"POST /ask HTTP/1.0\r\nContent-Length: 9\r\n\r\n{}{", 400, "the body is no JSON"),
    ],
)
def test_what_is_no_request(
    site: Site, capsys: pytest.CaptureFixture[str], request_: bytes, status: int, words: str
) -> None:
    head, _, body = raw(site, request_).partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/"):
        assert head.split()[1] == str(status).encode()
        answer = json.loads(body)
    else:
        answer = json.loads(head)  # of a request without a version: HTTP 0.9 has no head
    assert answer["error"].startswith(words)
    assert site.client().ask() is not None
    assert capsys.readouterr() == ("", "")


def test_a_peer_that_says_nothing_holds_nobody_up(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.server.port)):
        assert site.client().ask() is not None


def test_no_trial_is_lost_or_doubled_among_many_workers() -> None:
    site = Site(Notes(200))
    lost = threading.Event()

    def work(worker: int) -> list[int]:
        client = site.client(f"crew-{worker % 2}", worker)
        done: list[int] = []
        while trial := client.ask():
            if worker == 7 and len(done) == 3:
                site.coordinator.lost("crew-1", "killed", 7)
                lost.set()
                break
            client.report(trial.number, 1, {"validation_loss": 1.0})
            client.complete(trial.number, {"validation_loss": 1.0}, 0.1)
            done.append(trial.number)
        return done

    with site.server, ThreadPoolExecutor(8) as pool:
        done = [number for numbers in pool.map(work, range(8)) for number in numbers]
    ended = [call[1] for call in site.notes.calls if call[0] == "complete"]
    failed = [call[1] for call in site.notes.calls if call[0] == "fail"]
    assert lost.is_set()
    assert len(failed) == 1
    assert sorted(done) == sorted(ended)
    assert sorted(ended + failed) == list(range(1, 201))
    assert site.coordinator.over


def test_a_worker_that_died_loses_its_own_trial_alone(site: Site) -> None:
    site.client("here", 1).ask()
    site.client("here", 2).ask()
    site.client("there", 1).ask()
    site.clock.now = 7
    site.client("there").lost("there", "worker process 1 on algo-2 was killed by signal 9", 1)
    assert site.notes.calls == [("fail", 3, "worker process 1 on algo-2 was killed by signal 9", None)]


def test_a_host_that_falls_silent_is_given_up(site: Site) -> None:
    other = site.client("algo-2:1", 1)
    assert other.alive("algo-2") is False
    other.ask()
    site.client("here", 1).ask()
    site.clock.now = LOST_AFTER_S
    assert site.coordinator.others() == 1
    site.clock.now += 1
    assert site.coordinator.others() == 0
    assert site.notes.calls == [("fail", 1, "nothing was heard of host algo-2 for 60 s", None)]
    # It was only slow: it takes part again, but not with that trial.
    assert other.report(1, 2, {}) is True
    other.prune(1, 1.0)
    other.alive("algo-2")
    assert site.coordinator.others() == 1
    assert len(site.notes.calls) == 1


def test_the_leader_waits_for_those_who_have_to_hear_the_end() -> None:
    notes = Notes(0)
    coordinator = Coordinator(notes)
    with Server(coordinator, PRINT) as server:
        other = Client("127.0.0.1", server.port, PRINT, "algo-2:1")
        other.alive("algo-2")
        assert other.ask() is None
        waiting = threading.Thread(target=coordinator.linger, args=({"algo-2"}, 60))
        waiting.start()
        other.leave("algo-2")
        waiting.join(10)
        assert not waiting.is_alive()
    coordinator.linger({"algo-3"}, 0.0)


def test_a_fault_of_the_search_reaches_both_sides(site: Site) -> None:
    site.notes.fault = OSError(28, "No space left on device")
    with pytest.raises(LeaderError, match="refuses: the leader can't go on \\(OSError\\)"):
        site.client().ask()
    assert site.coordinator.fault is site.notes.fault


def test_a_port_that_is_taken_is_the_users_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"the search's port {port} can't be listened on .*KENNEL_TUNING_PORT"):
            Server(Coordinator(Notes()), PRINT, port=port)


@pytest.mark.parametrize("given", ["0", "65536", "-1", "http", "79310000000000", "٣"])
def test_a_port_that_is_none(given: str) -> None:
    with pytest.raises(ConfigError, match="KENNEL_TUNING_PORT: must be a port from 1 to 65535"):
        port_of({"KENNEL_TUNING_PORT": given})
    assert port_of({"KENNEL_TUNING_PORT": "8000"}) == 8000
    assert port_of({}) == 7931
