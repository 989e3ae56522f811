"""What the processes do: starting, failing, hanging, dying, ending."""

import base64
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.serve.conftest import Start, encoded, photo
from tests.serve.process import Background, Served, eventually

BODY = encoded(photo(1))


def in_flight(server: Served, tmp_path: Path) -> Background:
    """A request whose prediction runs, and goes on until the file `hold` is removed."""
    (tmp_path / "hold").touch()
    (tmp_path / "predicting").unlink()
    request = Background(lambda: server.invoke(BODY))
    eventually("the engine predicts", (tmp_path / "predicting").exists)
    return request


def test_503_until_the_model_has_answered(start: Start, tmp_path: Path) -> None:
    (tmp_path / "hold-load").touch()
    (tmp_path / "hold").touch()
    server = start()
    server.wait_listening()
    eventually("the worker answers", lambda: server.ping() == 503)
    ping = server.request("GET", "/ping")
    assert "being loaded" in ping.error
    early = server.invoke(BODY)
    assert early.status == 503
    assert int(early.headers["retry-after"]) > 0
    assert "being loaded" in early.error
    # Loaded isn't enough: it must have predicted.
    (tmp_path / "hold-load").unlink()
    eventually("the engine warms up", (tmp_path / "predicting").exists)
    assert server.ping() == 503
    (tmp_path / "hold").unlink()
    server.wait_ready()
    assert server.invoke(BODY).status == 200


def test_two_workers_are_ready_together(start: Start, tmp_path: Path) -> None:
    server = start(SAGEMAKER_MODEL_SERVER_WORKERS="2")
    server.wait_ready()
    assert len(server.workers()) == 2
    (tmp_path / "hold-load").touch()
    os.kill(server.workers()[0], signal.SIGKILL)
    # One of the two can answer, but not every request would find it.
    eventually("the other speaks for both", lambda: server.ping() == 503)
    eventually("the worker is replaced", lambda: len(server.workers()) == 2)
    (tmp_path / "hold-load").unlink()
    eventually("both are ready", lambda: server.ping() == 200)


def test_a_killed_worker_is_replaced(start: Start, tmp_path: Path) -> None:
    server = start()
    server.wait_ready()
    (killed,) = server.workers()
    (tmp_path / "hold-load").touch()
    os.kill(killed, signal.SIGKILL)
    eventually("a new worker is there", lambda: server.workers() not in ([], [killed]))
    eventually("it answers, and isn't ready", lambda: server.ping() == 503)
    (tmp_path / "hold-load").unlink()
    eventually("it is ready", lambda: server.ping() == 200)
    assert server.invoke(BODY).status == 200


@pytest.mark.parametrize(
    ("engine", "code", "error"),
    [
        ("unloadable", 3, "error: the model can't be loaded (MemoryError: no room for the network)"),
        ("unfit", 2, "error: the weights don't fit; train again"),
        (
            "NotANumberEngine",
            3,
            "error: the model can't be loaded (ValueError: the engine gave numbers that aren't",
        ),
        ("missing", 2, "error: the engine 'tests.serve.engines:missing' can't be loaded"),
    ],
)
def test_an_engine_that_cannot_load_ends_the_server(start: Start, engine: str, code: int, error: str) -> None:
    # Two workers: both give up, in either order, and the server ends once.
    server = start(KENNEL_ENGINE=f"tests.serve.engines:{engine}", SAGEMAKER_MODEL_SERVER_WORKERS="2")
    assert server.wait() == code
    assert server.log.splitlines()[-1].startswith(error), server.log
    assert ("Traceback" in server.log) == (code == 3)


def test_a_stuck_engine_turns_ping_to_503(start: Start, tmp_path: Path) -> None:
    server = start(KENNEL_STUCK_AFTER="1", SAGEMAKER_MODEL_SERVER_TIMEOUT="2")
    server.wait_ready()
    stuck = in_flight(server, tmp_path)
    eventually("/ping tells", lambda: server.ping() == 503)
    assert "stuck" in server.request("GET", "/ping").error
    answer = stuck.result()
    assert answer.status == 503
    assert "no prediction came within 2 s" in answer.error
    (tmp_path / "hold").unlink()
    eventually("/ping recovers", lambda: server.ping() == 200)


def test_a_failing_engine_turns_ping_to_503(start: Start, tmp_path: Path) -> None:
    server = start()
    server.wait_ready()
    (tmp_path / "fail").touch()
    answer = server.invoke(BODY)
    assert answer.status == 500
    assert "secret" not in answer.error
    assert "Traceback" not in answer.error
    assert "RuntimeError: told to fail" in server.log
    ping = server.request("GET", "/ping")
    assert ping.status == 503
    assert "predictions fail (RuntimeError)" in ping.error
    (tmp_path / "fail").unlink()
    assert server.ping() == 200
    assert server.invoke(BODY).status == 200


def test_a_full_server_says_so_and_still_answers_ping(start: Start, tmp_path: Path) -> None:
    server = start(KENNEL_MAX_WAITING="3")
    server.wait_ready()
    requests = [in_flight(server, tmp_path)]
    requests += [Background(lambda: server.invoke(BODY)) for _ in range(30)]
    # Three have a slot; the others are refused at once, while those wait. (A process's number may hold a 503, too.)
    eventually("28 were refused", lambda: server.log.count("'/invocations' 503 ") == 28)
    assert server.ping() == 200
    (tmp_path / "hold").unlink()
    answers = [request.result() for request in requests]
    assert sorted(answer.status for answer in answers) == [200] * 3 + [503] * 28
    assert {answer.headers["retry-after"] for answer in answers if answer.status == 503} == {"1"}


def test_a_full_server_counts_images(start: Start, tmp_path: Path) -> None:
    server = start(KENNEL_MAX_WAITING="3")
    server.wait_ready()
    lines = [json.dumps({"b64": base64.b64encode(BODY).decode()}).encode() + b"\n"] * 3
    kind = {"Content_Type": "application/jsonlines"}
    first = in_flight(server, tmp_path)
    answer = server.invoke(b"".join(lines), **kind)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    # Two have room beside the first.
    second = Background(lambda: server.invoke(b"".join(lines[:2]), **kind))
    (tmp_path / "hold").unlink()
    assert first.result().status == 200
    assert len(second.result().json["predictions"]) == 2
    assert server.invoke(b"".join(lines), **kind).status == 200


def test_waiting_requests_are_batched_and_not_mixed_up(start: Start, tmp_path: Path) -> None:
    server = start()
    server.wait_ready()
    bodies = [encoded(photo(i, colour=i % 3)) for i in range(12)]
    alone = [server.invoke(body).json for body in bodies]
    first = in_flight(server, tmp_path)
    together = [Background(lambda body=body: server.invoke(body)) for body in bodies]  # type: ignore[misc]
    (tmp_path / "hold").unlink()
    assert first.result().status == 200
    assert [each.result().json for each in together] == alone


def test_sigterm_lets_a_request_finish(start: Start, tmp_path: Path) -> None:
    server = start()
    server.wait_ready()
    idle = server.connect()
    request = in_flight(server, tmp_path)
    began = time.monotonic()
    server.signal(signal.SIGTERM)

    def refused() -> bool:
        try:
            server.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    eventually("nobody is let in any more", refused)
    (tmp_path / "hold").unlink()
    assert request.result().status == 200
    assert server.wait() == 0
    # The contract's limit, after which SIGKILL would come.
    assert time.monotonic() - began < 30
    idle.close()
    assert "Traceback" not in server.log


@pytest.mark.parametrize("when", ["at once", "while loading", "when ready"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_at_any_time(start: Start, tmp_path: Path, when: str, number: signal.Signals) -> None:
    (tmp_path / "hold-load").touch()
    server = start()
    if when != "at once":
        server.wait_listening()
        eventually("the worker answers", lambda: server.ping() == 503)
    else:
        # Python itself must have started: before that, any program ends by the signal's default.
        eventually("main has begun", lambda: handled(server.process.pid, signal.SIGTERM))
    if when == "when ready":
        (tmp_path / "hold-load").unlink()
        server.wait_ready()
    # As Ctrl-C in a terminal does: to the whole group.
    os.killpg(server.process.pid, number)
    assert server.wait() == 0
    assert "Traceback" not in server.log, server.log


@pytest.mark.parametrize("after_ms", range(0, 400, 25))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_while_it_imports(start: Start, tmp_path: Path, number: int, after_ms: int) -> None:
    (tmp_path / "hold-load").touch()
    server = start()
    eventually("main has begun", lambda: handled(server.process.pid, signal.SIGTERM))
    time.sleep(after_ms / 1000)
    os.killpg(server.process.pid, number)
    assert server.wait() == 0
    assert not any(word in server.log for word in ("Traceback", "ignored", "Error")), server.log


def handled(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal, as the kernel tells it."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_a_port_that_is_taken(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start(SAGEMAKER_BIND_TO_PORT=str(port))
        assert server.wait() == 2
    assert server.log == (
        f"error: can't listen on port {port} of 127.0.0.1 (Address already in use); "
        "choose another port by KENNEL_PORT, or end the program that has it\n"
    )


def test_sagemakers_port_variable(start: Start) -> None:
    port = free_port()
    server = start(SAGEMAKER_BIND_TO_PORT=str(port), SAGEMAKER_SAFE_PORT_RANGE=f"{port}-{port}")
    server.wait_ready()
    assert server.port == port


def test_default_accept_and_payload_limit(start: Start) -> None:
    server = start(SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv", SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    server.wait_ready()
    assert server.invoke(BODY).headers["content-type"] == "text/csv; charset=utf-8"
    assert server.invoke(BODY, Accept="application/json").json["predictions"]
    # Padding behind the image's end is ignored by decoders, so it is the size alone that decides.
    limit = 1024 * 1024
    assert server.invoke(BODY.ljust(limit, b"\0")).status == 200
    assert server.invoke(BODY.ljust(limit + 1, b"\0")).status == 413


def test_wrong_settings_end_it_with_one_sentence(start: Start) -> None:
    server = start(KENNEL_PORT="eighty", KENNEL_MAX_WAITING="0")
    assert server.wait() == 2
    assert server.log.count("\n") == 1
    assert server.log.startswith("error: 2 settings: KENNEL_PORT must be")


def test_nothing_is_written_to_home_or_working_folder(start: Start, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    server = start(HOME=str(home), XDG_RUNTIME_DIR=str(home), TMPDIR=str(home))
    server.wait_ready()
    assert server.invoke(BODY).status == 200
    assert list(home.rglob("*")) == []
    assert {p.name for p in tmp_path.iterdir()} == {"home", "predicting", "server0.log"}
