"""An engine that predicts on several threads at once, in a real server."""

from pathlib import Path

from tests.serve.conftest import Start, encoded, photo
from tests.serve.process import Background, eventually

TWO_THREADS = "tests.serve.engines:TwoThreadsEngine"


def threads(folder: Path) -> dict[str, set[int]]:
    """Thread -> the sizes of the batches that it was given."""
    found: dict[str, set[int]] = {}
    for file in folder.glob("thread-*"):
        _, thread, size = file.name.split("-")
        found.setdefault(thread, set()).add(int(size))
    return found


def test_two_predictions_run_at_once(start: Start, tmp_path: Path) -> None:
    server = start(KENNEL_ENGINE=TWO_THREADS)
    server.wait_ready()
    bodies = [encoded(photo(i, colour=i % 3)) for i in range(12)]
    alone = [server.invoke(body).json for body in bodies]
    (tmp_path / "hold").touch()
    requests = [Background(lambda body=body: server.invoke(body)) for body in bodies]  # type: ignore[misc]
    # Both threads are in a prediction that doesn't end: neither waits for the other.
    eventually("two threads predict", lambda: len(threads(tmp_path)) == 2)
    assert server.ping() == 200
    (tmp_path / "hold").unlink()
    assert [request.result().json for request in requests] == alone
    assert len(threads(tmp_path)) == 2
    assert set().union(*threads(tmp_path).values()) <= {1, 2}


def test_one_stuck_thread_is_reported(start: Start, tmp_path: Path) -> None:
    server = start(KENNEL_ENGINE=TWO_THREADS, KENNEL_STUCK_AFTER="1")
    server.wait_ready()
    (tmp_path / "hold-one").touch()
    stuck = Background(lambda: server.invoke(encoded(photo(1))))
    eventually("it predicts", (tmp_path / "held").exists)
    # The other thread still answers, but a core is lost: whoever watches should know.
    assert server.invoke(encoded(photo(2))).status == 200
    eventually("/ping tells", lambda: server.ping() == 503)
    assert "stuck" in server.request("GET", "/ping").error
    (tmp_path / "hold-one").unlink()
    assert stuck.result().status == 200
    eventually("/ping recovers", lambda: server.ping() == 200)
