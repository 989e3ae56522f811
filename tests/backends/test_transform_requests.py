"""deploy.py transform against servers that are full, drop connections or have ways of their own."""

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.backends.terminal import ROOT, deploy
from tests.backends.transform_runs import PARAMETERS, answer, pictures, rows, stub
from tests.ports import free_port

Handler = http.server.BaseHTTPRequestHandler
GOOD = {"predictions": [{"label": "Dog", "index": 0, "probability": 1.0}]}


def run(url: str, tmp_path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return deploy("transform", tmp_path / "photos", "--out", tmp_path / "out", "--url", url, *options)


def named(tmp_path: Path, count: int) -> list[str]:
    """Files whose bytes are their number, which the stubs don't mind."""
    files = pictures(tmp_path / "photos", count)
    for number, file in enumerate(files):
        Path(file).write_text(str(number))
    return files


def test_a_full_server_is_asked_again_when_it_says(tmp_path: Path) -> None:
    files, asked, lock = named(tmp_path, 6), Counter[bytes](), threading.Lock()
    times: dict[bytes, list[float]] = {}

    def post(handler: Handler, body: bytes) -> None:
        with lock:
            asked[body] += 1
            times.setdefault(body, []).append(time.monotonic())
        if body in (b"0", b"4") and asked[body] == 1:
            answer(handler, {"error": {"code": 503, "message": "full"}}, 503, Retry_After="2")
        else:
            answer(handler, GOOD)

    with stub(post) as url:
        result = run(url, tmp_path)
    assert result.returncode == 0, result.stderr
    assert [(row["file"], row["predictions"]) for row in rows(tmp_path / "out")] == [
        (file, GOOD["predictions"]) for file in files
    ]
    assert asked == {b"0": 2, b"1": 1, b"2": 1, b"3": 1, b"4": 2, b"5": 1}
    for body in (b"0", b"4"):
        first, second = times[body]
        assert second - first >= 2.0


def test_a_dropped_connection_is_no_answer(tmp_path: Path) -> None:
    named(tmp_path, 4)
    asked, lock = Counter[bytes](), threading.Lock()

    def post(handler: Handler, body: bytes) -> None:
        with lock:
            asked[body] += 1
        if body == b"1" or (body == b"2" and asked[body] == 1):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif body == b"3":
            # Nor is one to be kept.
            answer(handler, GOOD, Connection="close")
        else:
            answer(handler, GOOD)

    with stub(post) as url:
        result = run(url, tmp_path)
    assert result.returncode == 1, result.stderr
    assert [row.get("error", "") for row in rows(tmp_path / "out")] == [
        "", "the server ended the connection 5 times (it was closed without an answer)", "", "",
    ]  # fmt: skip
    assert (asked[b"0"], asked[b"3"]) == (1, 1)


def test_as_many_requests_at_once_as_the_server_says(tmp_path: Path) -> None:
    named(tmp_path, 12)
    # Nobody passes before three are there, and a fourth would break it.
    together, now, most, lock = threading.Barrier(3), [0], [0], threading.Lock()

    def post(handler: Handler, body: bytes) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait(60)
        with lock:
            now[0] -= 1
        answer(handler, GOOD)

    with stub(post, {**PARAMETERS, "MaxConcurrentTransforms": 3}) as url:
        result = run(url, tmp_path)
    assert result.returncode == 0, result.stderr
    assert most == [3]
    assert len(rows(tmp_path / "out")) == 12


@pytest.mark.parametrize("parameters", [None, "nonsense", {"MaxConcurrentTransforms": "many"}])
def test_a_server_that_says_nothing_gets_sagemakers_defaults(parameters: object, tmp_path: Path) -> None:
    files, now, most = named(tmp_path, 3), [0], [0]
    with Path(files[2]).open("wb") as large:
        large.truncate(6 * 1024 * 1024 + 1)

    def post(handler: Handler, body: bytes) -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        now[0] -= 1
        # In chunks, as some servers do.
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        text = json.dumps(GOOD).encode()
        handler.wfile.write(b"5;x=y\r\n" + text[:5] + b"\r\n%x\r\n" % len(text[5:]) + text[5:] + b"\r\n0\r\n\r\n")

    with stub(post, parameters) as url:
        result = run(url, tmp_path)
    assert result.returncode == 1, result.stderr
    assert most == [1]
    assert [row.get("error") for row in rows(tmp_path / "out")] == [
        None, None, "the file has 6291457 bytes, and the server takes 6291456 at most",
    ]  # fmt: skip


def test_faults_of_files_are_noted_and_of_the_whole_told(tmp_path: Path) -> None:
    named(tmp_path, 5)

    def post(handler: Handler, body: bytes) -> None:
        if body == b"1":
            answer(handler, {"error": {"code": 400, "message": "no image"}}, 400)
        elif body == b"2":
            # As with KENNEL_BATCH_ERRORS=answer.
            answer(handler, {"error": {"code": 413, "message": "too large"}})
        elif body == b"4":
            answer(handler, {"error": {"code": 403, "message": "no entry"}}, 403)
        else:
            answer(handler, GOOD)

    with stub(post) as url:
        result = run(url, tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: {url}/invocations doesn't answer with predictions: no entry; is it this artifact's? "
        f"(4 of 5 images are kept in {tmp_path}/out; the same command goes on from there)\n"
    )
    assert [row.get("error") for row in rows(tmp_path / "out")] == [None, "no image", "too large", None]


@pytest.mark.long
def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    named(tmp_path, 1)
    result = run(f"http://127.0.0.1:{free_port()}", tmp_path)
    assert result.returncode == 2
    assert "/ping gives no 200 (nobody answers: [Errno 111] Connection refused); deploy.py status" in result.stderr


def test_a_full_disk_is_one_sentence_and_the_rest_follows(tmp_path: Path) -> None:
    files = named(tmp_path, 20)
    command = [sys.executable, str(ROOT / "deploy.py"), "transform", str(tmp_path / "photos"),
               "--out", str(tmp_path / "out"), "--url"]  # fmt: skip
    with stub(lambda handler, _: answer(handler, GOOD)) as url:
        # No file may grow beyond 1 KiB, and a line has over 100 bytes.
        limited = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", *command, url]
        full = subprocess.run(limited, capture_output=True, text=True, check=False)
        kept = (tmp_path / "out" / "predictions.jsonl").read_bytes()
        result = run(url, tmp_path)
    assert full.returncode == 2
    assert full.stderr.startswith(f"error: the results can't be written to {tmp_path}/out (File too large); mend that")
    assert len(kept) == 1024
    assert result.returncode == 0, result.stderr
    whole = kept.count(10)
    assert 0 < whole < 20
    assert f"{whole} of them before" in result.stdout
    assert [row["file"] for row in rows(tmp_path / "out")] == files
